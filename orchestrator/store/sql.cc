#include "orchestrator/store/sql.h"

#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <cerrno>

#include "budgets/invariant.h"

namespace overnight::store {
namespace {

// How long a statement waits for a lock. Nobody but us writes; a reader that recovers the WAL holds it for this long at
// worst.
constexpr int busy_timeout_ms = 5000;

StoreError error_at(sqlite3* handle, std::string_view doing, const std::string& path) {
  const int system = sqlite3_system_errno(handle);
  const int code = sqlite3_extended_errcode(handle);
  // The system's reason says more than "unable to open database file" and "disk I/O error".
  const bool opening = (code & 0xff) == SQLITE_CANTOPEN;
  const bool failing = (code & 0xff) == SQLITE_IOERR;
  if ((opening || failing) && system != 0) return error_of_errno(system, doing, path);
  return error_of_sqlite(code, sqlite3_errmsg(handle), doing, path);
}

int bind_text(sqlite3_stmt* handle, int index, std::string_view text) {
  const char* start = text.data() == nullptr ? "" : text.data();
  return sqlite3_bind_text64(handle, index, start, text.size(), SQLITE_STATIC, SQLITE_UTF8);
}

int bind_value(sqlite3_stmt* handle, int index, const Value& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return sqlite3_bind_int64(handle, index, *integer);
  if (const auto* real = std::get_if<double>(&value)) return sqlite3_bind_double(handle, index, *real);
  if (const auto* text = std::get_if<std::string>(&value)) return bind_text(handle, index, *text);
  if (const auto* view = std::get_if<std::string_view>(&value)) return bind_text(handle, index, *view);
  return sqlite3_bind_null(handle, index);
}

// A URI's path: everything that has a meaning there is escaped.
std::string as_uri(const std::string& path) {
  std::string uri = "file:";
  for (const char c : path) {
    if (c == '%' || c == '?' || c == '#') {
      uri += fmt::format("%{:02x}", static_cast<unsigned char>(c));
    } else {
      uri += c;
    }
  }
  return uri + "?immutable=1";
}

void harden(sqlite3* handle) {
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, busy_timeout_ms);
  // The file may come from anyone: what its schema says runs no code of ours.
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
}

}  // namespace

Statement::Statement(Statement&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)), path_(other.path_), bound_(std::move(other.bound_)) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(handle_, other.handle_);
  std::swap(path_, other.path_);
  std::swap(bound_, other.bound_);
  return *this;
}

Statement::~Statement() { sqlite3_finalize(handle_); }

void Statement::start(Fields fields) {
  INVARIANT(sqlite3_bind_parameter_count(handle_) == static_cast<int>(fields.size()), "every parameter gets a value");
  sqlite3_reset(handle_);
  bound_ = std::move(fields);
  for (std::size_t i = 0; i < bound_.size(); ++i) {
    const int code = bind_value(handle_, static_cast<int>(i) + 1, bound_[i]);
    INVARIANT(code == SQLITE_OK, "a value below SQLite's limit of one gigabyte can be bound");
  }
}

Stored<bool> Statement::step() {
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  StoreError error;
  const bool done = code == SQLITE_DONE;
  if (!done) error = error_at(sqlite3_db_handle(handle_), sqlite3_stmt_readonly(handle_) ? "read" : "write", *path_);
  rewind();
  if (done) return false;
  return budgets::unexpected(error);
}

Stored<void> Statement::run(Fields fields) {
  start(std::move(fields));
  while (true) {
    const Stored<bool> row = step();
    if (!row) return budgets::unexpected(row.error());
    if (!*row) return {};
  }
}

void Statement::rewind() { sqlite3_reset(handle_); }

std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(handle_, column); }
double Statement::real(int column) const { return sqlite3_column_double(handle_, column); }
bool Statement::is_null(int column) const { return sqlite3_column_type(handle_, column) == SQLITE_NULL; }

std::string Statement::text(int column) const {
  const auto* start = sqlite3_column_text(handle_, column);
  if (start == nullptr) return {};
  return {reinterpret_cast<const char*>(start), static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))};
}

Value Statement::value(int column) const {
  switch (sqlite3_column_type(handle_, column)) {
    case SQLITE_INTEGER:
      return integer(column);
    case SQLITE_FLOAT:
      return real(column);
    case SQLITE_NULL:
      return std::monostate{};
    default:
      return text(column);
  }
}

Fields Statement::fields(int from, int count) const {
  Fields found;
  found.reserve(static_cast<std::size_t>(count));
  for (int i = from; i < from + count; ++i) found.push_back(value(i));
  return found;
}

Stored<std::unique_ptr<Database>> Database::open(const std::string& path, Mode mode) {
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  flags |= mode == Mode::create ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
  if (mode == Mode::unchanging) flags |= SQLITE_OPEN_URI;
  sqlite3* handle = nullptr;
  const std::string name = mode == Mode::unchanging ? as_uri(path) : path;
  const int code = sqlite3_open_v2(name.c_str(), &handle, flags, nullptr);
  std::unique_ptr<Database> database(new Database(handle, path));
  if (handle == nullptr) return budgets::unexpected(error_of_sqlite(code, "out of memory", "open", path));
  if (code != SQLITE_OK) return budgets::unexpected(error_at(handle, "open", path));
  harden(handle);
  return database;
}

std::unique_ptr<Database> Database::in_memory() {
  sqlite3* handle = nullptr;
  const int code = sqlite3_open(":memory:", &handle);
  INVARIANT(code == SQLITE_OK, "a database in memory opens");
  harden(handle);
  return std::unique_ptr<Database>(new Database(handle, "(memory)"));
}

Database::~Database() { sqlite3_close(handle_); }

Stored<Statement> Database::prepare(Sql sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(handle_, sql.text(), -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return budgets::unexpected(error_at(handle_, "read", path_));
  return Statement(statement, &path_);
}

Stored<void> Database::execute(Sql script) {
  if (sqlite3_exec(handle_, script.text(), nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return budgets::unexpected(error_at(handle_, "set up", path_));
}

Stored<std::int64_t> Database::integer(Sql query) {
  Stored<Statement> statement = prepare(query);
  if (!statement) return budgets::unexpected(statement.error());
  const Stored<bool> row = statement->step();
  if (!row) return budgets::unexpected(row.error());
  if (!*row) return budgets::unexpected(corrupt(path_, "a row that must be there is missing"));
  return statement->integer(0);
}

Stored<std::string> Database::text(Sql query) {
  Stored<Statement> statement = prepare(query);
  if (!statement) return budgets::unexpected(statement.error());
  const Stored<bool> row = statement->step();
  if (!row) return budgets::unexpected(row.error());
  if (!*row) return budgets::unexpected(corrupt(path_, "a row that must be there is missing"));
  return statement->text(0);
}

Stored<void> prepare_all(Database& database, const std::vector<std::pair<Statement*, Sql>>& statements) {
  for (const auto& [statement, sql] : statements) {
    Stored<Statement> prepared = database.prepare(sql);
    if (!prepared) return budgets::unexpected(prepared.error());
    *statement = std::move(*prepared);
  }
  return {};
}

}  // namespace overnight::store
