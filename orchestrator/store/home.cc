#include "orchestrator/store/home.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "budgets/invariant.h"

namespace overnight::store {
namespace {

constexpr std::size_t lock_bytes_max = 1024;  // pid, time and host name

struct flock whole_file(short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "?";
  return name.data();
}

std::int64_t number_in(std::string_view text) {
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// "PID UNIX_MS HOST", each on a line; what cannot be read is left as it is.
HomeLock::Holder holder_from(const std::string& text) {
  HomeLock::Holder holder;
  const auto first = text.find('\n');
  if (first == std::string::npos) return holder;
  const auto second = text.find('\n', first + 1);
  if (second == std::string::npos) return holder;
  holder.pid = number_in(std::string_view(text).substr(0, first));
  holder.since_unix_ms = number_in(std::string_view(text).substr(first + 1, second - first - 1));
  holder.host = text.substr(second + 1, text.find('\n', second + 1) - second - 1);
  return holder;
}

StoreError held_by(const HomePaths& paths, const HomeLock::Holder& holder) {
  const std::string who = holder.pid > 0 ? fmt::format("process {} on {}", holder.pid, holder.host) : "another process";
  return {StoreError::Kind::in_use,
          fmt::format("the home {} is in use by {}; talk to that one (`overnight status`, `overnight halt`), wait for "
                      "its end, or name another home with --home",
                      paths.home, who)};
}

// What a process was just starting when it was killed has its open files, and so its locks, until it is another
// program.
constexpr int look_every_ms = 5;
constexpr int looks_at_the_dead_max = 1000;

bool is_gone(const HomeLock::Holder& holder) {
  return holder.pid > 0 && holder.host == host_name() && ::kill(static_cast<pid_t>(holder.pid), 0) != 0 &&
         errno == ESRCH;
}

Stored<void> check_folder(const HomePaths& paths) {
  struct stat found {};
  if (::stat(paths.home.c_str(), &found) != 0) {
    return budgets::unexpected(error_of_errno(errno, "use the home", paths.home));
  }
  if ((found.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return budgets::unexpected(
        StoreError{StoreError::Kind::no_permission,
                   fmt::format("cannot use the home {}: other users may write to it, and whoever can write there can "
                               "start programs as you; run `chmod go-w {}`, or name another folder with --home",
                               paths.home, paths.home)});
  }
  if (::access(paths.home.c_str(), W_OK | X_OK) != 0) {
    return budgets::unexpected(error_of_errno(errno, "write to the home", paths.home));
  }
  return {};
}

}  // namespace

HomePaths::HomePaths(std::string folder) : home(std::move(folder)) {
  while (home.size() > 1 && home.back() == '/') home.pop_back();
  database = home + "/home.db";
  anchor = home + "/journal.head";
  lock = home + "/lock";
  uuid = home + "/uuid";
  runs = home + "/runs";
  blobs = home + "/blobs";
}

Stored<void> make_layout(const HomePaths& paths) {
  for (const std::string* folder : {&paths.home, &paths.runs, &paths.blobs}) {
    const Stored<void> made = make_folder(*folder);
    if (!made) return made;
    if (folder != &paths.home) continue;
    const Stored<void> fit = check_folder(paths);
    if (!fit) return fit;
  }
  // SQLite gives its other files the rights of this one.
  const Descriptor database(::open(paths.database.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!database.is_open()) return budgets::unexpected(error_of_errno(errno, "open", paths.database));
  return {};
}

std::string new_uuid() {
  std::array<std::uint8_t, 16> bytes{};
  const ssize_t got = ::getrandom(bytes.data(), bytes.size(), 0);
  INVARIANT(got == static_cast<ssize_t>(bytes.size()), "the kernel gives 16 random bytes at once");
  bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3f) | 0x80);
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", bytes[i]);
  }
  return text;
}

Stored<HomeLock> HomeLock::take(const HomePaths& paths, budgets::WallTime now) {
  Descriptor file(::open(paths.lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.is_open()) return budgets::unexpected(error_of_errno(errno, "lock the home by", paths.lock));
  struct flock wanted = whole_file(F_WRLCK);
  for (int look = 0; ::fcntl(file.number(), F_OFD_SETLK, &wanted) != 0; ++look) {
    if (errno != EAGAIN && errno != EACCES) {
      return budgets::unexpected(error_of_errno(errno, "lock the home by", paths.lock));
    }
    const Stored<std::optional<std::string>> text = read_whole(paths.lock, lock_bytes_max);
    const Holder holder = text && *text ? holder_from(**text) : Holder{};
    if (!is_gone(holder) || look == looks_at_the_dead_max) return budgets::unexpected(held_by(paths, holder));
    ::poll(nullptr, 0, look_every_ms);
  }
  const std::string text = fmt::format("{}\n{}\n{}\n", ::getpid(), now.ms(), host_name());
  if (::ftruncate(file.number(), 0) != 0 ||
      ::pwrite(file.number(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return budgets::unexpected(error_of_errno(errno, "write", paths.lock));
  }
  return HomeLock(std::move(file));
}

Stored<std::optional<HomeLock::Holder>> HomeLock::holder(const HomePaths& paths) {
  const Descriptor file(::open(paths.lock.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open() && errno == ENOENT) return std::nullopt;
  if (!file.is_open()) return budgets::unexpected(error_of_errno(errno, "read", paths.lock));
  struct flock asked = whole_file(F_RDLCK);
  if (::fcntl(file.number(), F_OFD_GETLK, &asked) != 0) {
    return budgets::unexpected(error_of_errno(errno, "ask for the lock of", paths.lock));
  }
  if (asked.l_type == F_UNLCK) return std::nullopt;
  const Stored<std::optional<std::string>> text = read_whole(paths.lock, lock_bytes_max);
  if (!text) return budgets::unexpected(text.error());
  return *text ? holder_from(**text) : Holder{};
}

}  // namespace overnight::store
