#include "workers/keeper/metrics_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "workers/keeper/folders.h"

namespace overnight::workers {

MetricsFile::MetricsFile(int folder, const char* name) : folder_(folder), name_(name) {}

void MetricsFile::make() {
  constexpr int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  file_.reset(::openat(folder_, name_.c_str(), flags, 0644));
  if (file_ || errno != EEXIST) return;
  const std::string last = "last-" + name_;
  remove_tree(folder_, last.c_str());
  ::renameat(folder_, name_.c_str(), folder_, last.c_str());
  file_.reset(::openat(folder_, name_.c_str(), flags, 0644));
}

void MetricsFile::begin() {
  make();
  offset_ = 0;
  read_ = 0;
}

void MetricsFile::look(const Use& use) { read_on(bytes_per_look, use); }

void MetricsFile::finish(const Use& use) {
  read_on(bytes_max, use);
  follow_replacement();
  read_on(bytes_max, use);
  lines_.finish(use);
}

bool MetricsFile::read_on(std::int64_t most, const Use& use) {
  char bytes[65536];
  while (most > 0 && read_ < bytes_max && file_) {
    const ssize_t size = ::pread(file_.get(), bytes, sizeof bytes, offset_);
    if (size <= 0) return false;
    offset_ += size;
    read_ += size;
    most -= size;
    lines_.append({bytes, static_cast<std::size_t>(size)}, use);
  }
  return true;
}

void MetricsFile::follow_replacement() {
  struct stat named {};
  struct stat ours {};
  if (::fstatat(folder_, name_.c_str(), &named, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(named.st_mode)) return;
  if (file_ && ::fstat(file_.get(), &ours) == 0 && ours.st_ino == named.st_ino && ours.st_dev == named.st_dev) {
    if (ours.st_size < offset_) offset_ = ours.st_size;  // truncated: what was read stays read
    return;
  }
  file_.reset(::openat(folder_, name_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  offset_ = 0;
}

}  // namespace overnight::workers
