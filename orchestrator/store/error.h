// What can go wrong between us and the disk, in words for the person who reads them: what happened, where, what to do.
#pragma once

#include <string>
#include <string_view>

#include "budgets/result.h"

namespace overnight::store {

struct StoreError {
  enum class Kind {
    disk_full,
    read_only,      // file system or permission: we may read, not write
    no_permission,  // we may not even read
    missing,        // no home, or no such thing in it
    not_a_home,     // a file instead of a folder, another program's database, another home's file
    in_use,         // another process owns the home, or holds its database
    newer_version,  // written by a newer overnight
    corrupt,        // what lies on the disk is not what we wrote
    disk_fault,     // an input or output error
    misuse,         // asked for what this store cannot do (a write to a store opened for reading)
  };
  Kind kind = Kind::disk_fault;
  std::string explain;
  bool operator==(const StoreError&) const = default;
};

template <typename T>
using Stored = budgets::Result<T, StoreError>;

// `doing`: "write", "create the folder"; `number`: an errno.
StoreError error_of_errno(int number, std::string_view doing, const std::string& path);

// `code`: an extended result code of SQLite; `detail`: its own message.
StoreError error_of_sqlite(int code, std::string_view detail, std::string_view doing, const std::string& path);

// What lies at `path` is not what we wrote.
StoreError corrupt(const std::string& path, std::string_view detail);

}  // namespace overnight::store
