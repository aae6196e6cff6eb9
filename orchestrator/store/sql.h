// A database file and its prepared statements: the only door to SQLite.
//
// SQL is a literal (checked by the compiler), prepared once; values are only ever bound. Errors are values. A Database
// is owned by one thread at a time; statements end before their database. Connections for reading are opened read-only
// and never checkpoint (SQLite 3.40 can lose pages when several connections do).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "orchestrator/store/error.h"
#include "orchestrator/store/fields.h"

struct sqlite3;
struct sqlite3_stmt;

namespace overnight::store {

class Sql {
 public:
  consteval Sql(const char* literal) : text_(literal) {}  // NOLINT: implicit, so that a literal is enough
  constexpr const char* text() const { return text_; }

 private:
  const char* text_;
};

class Statement {
 public:
  Statement() = default;
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;
  ~Statement();

  // Binds all parameters and runs to the end; what it returns is dropped.
  [[nodiscard]] Stored<void> run(Fields fields);

  // Binds all parameters; rows follow by `step`, until false. `rewind` ends early.
  void start(Fields fields);
  [[nodiscard]] Stored<bool> step();
  void rewind();

  // Columns of the current row, from 0. A value of another type is converted, never a crash.
  std::int64_t integer(int column) const;
  double real(int column) const;
  std::string text(int column) const;
  bool is_null(int column) const;
  Fields fields(int from, int count) const;

 private:
  friend class Database;
  Statement(sqlite3_stmt* handle, const std::string* path) : handle_(handle), path_(path) {}
  Value value(int column) const;

  sqlite3_stmt* handle_ = nullptr;
  const std::string* path_ = nullptr;  // of the database, for messages
  Fields bound_;                       // what the bindings point to
};

class Database {
 public:
  enum class Mode {
    create,      // read and write, made if missing
    read_only,   // sees what a writer in another process commits
    unchanging,  // read-only, on a medium where nobody can write: no locks, no -shm file
  };

  static Stored<std::unique_ptr<Database>> open(const std::string& path, Mode mode);
  static std::unique_ptr<Database> in_memory();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database();

  [[nodiscard]] Stored<Statement> prepare(Sql sql);
  // Several statements, without parameters.
  [[nodiscard]] Stored<void> execute(Sql script);
  // The single integer, or text, that a query returns; corrupt if it returns none.
  [[nodiscard]] Stored<std::int64_t> integer(Sql query);
  [[nodiscard]] Stored<std::string> text(Sql query);

  const std::string& path() const { return path_; }

 private:
  Database(sqlite3* handle, std::string path) : handle_(handle), path_(std::move(path)) {}

  sqlite3* handle_ = nullptr;
  std::string path_;
};

// Prepares each statement in turn; stops at the first that fails.
[[nodiscard]] Stored<void> prepare_all(Database& database, const std::vector<std::pair<Statement*, Sql>>& statements);

}  // namespace overnight::store
