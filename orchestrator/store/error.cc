#include "orchestrator/store/error.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <cerrno>
#include <cstring>

namespace overnight::store {
namespace {

using Kind = StoreError::Kind;

std::string_view what_to_do(Kind kind) {
  switch (kind) {
    case Kind::disk_full:
      return "free some space on that disk, then run `overnight resume`; nothing that was committed is lost";
    case Kind::read_only:
      return "make it writable for this user, or name another folder with --home";
    case Kind::no_permission:
      return "ask its owner for access, or name another folder with --home";
    case Kind::missing:
      return "check --home and $OVERNIGHT_HOME, or start a run there first";
    case Kind::not_a_home:
      return "name a folder that overnight may have to itself with --home";
    case Kind::in_use:
      return "wait for the other process, or end it";
    case Kind::newer_version:
      return "use the newer version of overnight that wrote it";
    case Kind::corrupt:
      return "run `overnight audit verify`, and restore the home from a backup";
    case Kind::disk_fault:
      return "check the disk and the kernel's log, then run `overnight resume`";
    case Kind::misuse:
      return "this is a bug in overnight: report it";
  }
  return "";
}

StoreError explained(Kind kind, std::string_view doing, const std::string& path, std::string_view detail) {
  return {kind, fmt::format("cannot {} {}: {}; {}", doing, path, detail, what_to_do(kind))};
}

Kind kind_of_errno(int number) {
  switch (number) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return Kind::disk_full;
    case EROFS:
      return Kind::read_only;
    case EACCES:
    case EPERM:
      return Kind::no_permission;
    case ENOENT:
      return Kind::missing;
    case ENOTDIR:
    case EISDIR:
      return Kind::not_a_home;
    default:
      return Kind::disk_fault;
  }
}

Kind kind_of_sqlite(int code) {
  switch (code & 0xff) {
    case SQLITE_FULL:
      return Kind::disk_full;
    case SQLITE_READONLY:
      return Kind::read_only;
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN:
      return Kind::no_permission;
    case SQLITE_NOTADB:
      return Kind::not_a_home;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Kind::in_use;
    case SQLITE_CORRUPT:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_ERROR:  // a statement does not fit the tables: they were changed by someone
      return Kind::corrupt;
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
      return Kind::misuse;
    default:
      return Kind::disk_fault;
  }
}

}  // namespace

StoreError error_of_errno(int number, std::string_view doing, const std::string& path) {
  return explained(kind_of_errno(number), doing, path, std::strerror(number));
}

StoreError error_of_sqlite(int code, std::string_view detail, std::string_view doing, const std::string& path) {
  if (code == SQLITE_READONLY_ROLLBACK || code == SQLITE_READONLY_RECOVERY) {  // only a writer may mend it
    return {Kind::read_only,
            fmt::format("cannot {} {}: a crash left it in the middle of a change; overnight resume puts it "
                        "in order",
                        doing, path)};
  }
  return explained(kind_of_sqlite(code), doing, path, fmt::format("{} (SQLite code {})", detail, code));
}

StoreError corrupt(const std::string& path, std::string_view detail) {
  return explained(Kind::corrupt, "read", path, detail);
}

}  // namespace overnight::store
