// Changes to a home's database behind its back, as an intruder or a careless admin makes them.
#pragma once

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <string>
#include <vector>

namespace overnight::store {

inline void tamper(const std::string& home, const std::string& sql) {
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open((home + "/home.db").c_str(), &database), SQLITE_OK);
  char* error = nullptr;
  EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, &error), SQLITE_OK)
      << sql << ": " << (error != nullptr ? error : "");
  sqlite3_free(error);
  sqlite3_close(database);
}

// The first column of what a query returns.
inline std::vector<std::string> answers(const std::string& home, const std::string& sql) {
  std::vector<std::string> found;
  sqlite3* database = nullptr;
  if (sqlite3_open((home + "/home.db").c_str(), &database) != SQLITE_OK) return found;
  sqlite3_exec(
      database, sql.c_str(),
      [](void* to, int, char** values, char**) {
        static_cast<std::vector<std::string>*>(to)->emplace_back(values[0] != nullptr ? values[0] : "");
        return 0;
      },
      &found, nullptr);
  sqlite3_close(database);
  return found;
}

}  // namespace overnight::store
