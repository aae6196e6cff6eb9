#include "orchestrator/store/durable_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace overnight::store {
namespace {

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

Stored<void> sync_folder(const std::string& path) {
  const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.is_open() || ::fsync(folder.number()) != 0) {
    return budgets::unexpected(error_of_errno(errno, "sync the folder", path));
  }
  return {};
}

bool is_folder(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(number_, other.number_);
  return *this;
}

Descriptor::~Descriptor() {
  if (number_ >= 0) ::close(number_);
}

Stored<void> make_folder(const std::string& path) {
  if (is_folder(path)) return {};
  const std::string parent = folder_of(path);
  if (parent != path && !is_folder(parent)) {
    const Stored<void> made = make_folder(parent);
    if (!made) return made;
  }
  if (::mkdir(path.c_str(), 0700) == 0 || (errno == EEXIST && is_folder(path))) return {};
  if (errno == EEXIST) errno = ENOTDIR;  // something else has this name
  return budgets::unexpected(error_of_errno(errno, "create the folder", path));
}

Stored<void> write_whole(const std::string& path, std::string_view bytes) {
  const std::string beside = path + ".new";  // one writer: the owner of the home's lock
  {
    const Descriptor file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file.is_open()) return budgets::unexpected(error_of_errno(errno, "write", beside));
    if (!write_all(file.number(), bytes) || ::fsync(file.number()) != 0) {
      const StoreError error = error_of_errno(errno, "write", beside);
      ::unlink(beside.c_str());
      return budgets::unexpected(error);
    }
  }
  if (::rename(beside.c_str(), path.c_str()) != 0) return budgets::unexpected(error_of_errno(errno, "write", path));
  return sync_folder(folder_of(path));
}

Stored<std::optional<std::string>> read_whole(const std::string& path, std::size_t bytes_max) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open() && errno == ENOENT) return std::nullopt;
  if (!file.is_open()) return budgets::unexpected(error_of_errno(errno, "read", path));
  std::string bytes;
  char buffer[65536];
  while (bytes.size() <= bytes_max) {
    const ssize_t got = ::read(file.number(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return budgets::unexpected(error_of_errno(errno, "read", path));
    if (got == 0) return bytes;
    bytes.append(buffer, static_cast<std::size_t>(got));
  }
  return budgets::unexpected(corrupt(path, fmt::format("it is longer than the {} bytes allowed", bytes_max)));
}

}  // namespace overnight::store
