#include "orchestrator/executors/gpu_locks.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>

namespace overnight::executors {
namespace {

namespace fs = std::filesystem;

// A UUID comes from a driver; as a file name it is letters, digits and dashes.
std::string file_name(const std::string& uuid) {
  std::string name;
  for (const char c : uuid) name.push_back(std::isalnum(static_cast<unsigned char>(c)) || c == '-' ? c : '_');
  return name.substr(0, 128) + ".lock";
}

// The place, made for all users if it is not there; -1 if it cannot be used.
int open_place(const fs::path& place) {
  if (::mkdir(place.c_str(), 0700) == 0) ::chmod(place.c_str(), 01777);  // mkdir alone would obey the umask
  return ::open(place.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

// Locking needs no right to write, so that the file of one user locks for all; a file that exists is opened without
// O_CREAT, which the kernel forbids for other people's files in such folders (fs.protected_regular).
int open_file(int place, const std::string& name) {
  constexpr int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  int file = ::openat(place, name.c_str(), flags | O_CREAT | O_EXCL, 0444);
  if (file < 0) file = ::openat(place, name.c_str(), flags);
  struct stat status {};
  if (file >= 0 && ::fstat(file, &status) == 0 && S_ISREG(status.st_mode)) {
    if (status.st_uid == ::geteuid()) ::fchmod(file, 0444);  // the umask may have closed it to others
    return file;
  }
  if (file >= 0) ::close(file);
  return -1;
}

void close_all(const std::vector<int>& files) {
  for (const int file : files) ::close(file);
}

}  // namespace

std::vector<fs::path> shared_lock_places() { return {"/run/lock/overnight", "/tmp/overnight-locks"}; }

GpuLocks::~GpuLocks() { release_all(); }

void GpuLocks::release_all() {
  for (const auto& [_, files] : held_) close_all(files);
  held_.clear();
}

bool GpuLocks::take(const std::string& uuid) {
  if (held_.contains(uuid)) return true;
  std::vector<int> files;
  for (const fs::path& place : places_) {
    const int folder = open_place(place);
    const int file = folder < 0 ? -1 : open_file(folder, file_name(uuid));
    if (folder >= 0) ::close(folder);
    if (file < 0) continue;
    files.push_back(file);
    if (::flock(file, LOCK_EX | LOCK_NB) == 0) continue;
    close_all(files);
    return false;
  }
  if (files.empty()) return false;  // nowhere to lock is not a lock
  held_[uuid] = std::move(files);
  return true;
}

void GpuLocks::release(const std::string& uuid) {
  const auto found = held_.find(uuid);
  if (found == held_.end()) return;
  close_all(found->second);
  held_.erase(found);
}

}  // namespace overnight::executors
