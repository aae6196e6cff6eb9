#include "workers/keeper/disk_meter.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "workers/keeper/folders.h"

namespace overnight::workers {

bool DiskMeter::open(int parent, const char* name) {
  Descriptor folder = open_unlocked(parent, name);
  if (!folder) return errno == ENOENT || errno == ENOTDIR || errno == ELOOP;  // it is gone: nothing is hidden
  Listing listing(::fdopendir(folder.get()), ::closedir);
  if (!listing) return false;
  folder.release();  // the listing's from here
  open_.push_back(std::move(listing));
  return true;
}

DiskUse DiskMeter::look(int entries) {
  if (open_.empty()) {
    walking_ = {};
    if (!open(folder_, ".") || open_.empty()) return complete_;
  }
  for (int seen = 0; seen < entries && !open_.empty(); ++seen) step();
  if (open_.empty()) {
    complete_ = walking_;
    return complete_;
  }
  return {std::max(walking_.bytes, complete_.bytes), std::max(walking_.inodes, complete_.inodes),
          walking_.hidden || complete_.hidden};
}

DiskUse DiskMeter::look_at_all(int entries) {
  open_.clear();
  complete_ = {};
  return look(entries);
}

void DiskMeter::step() {
  DIR* listing = open_.back().get();
  const dirent* entry = ::readdir(listing);
  if (!entry) {
    open_.pop_back();
    return;
  }
  if (std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0) return;
  struct stat status {};
  if (::fstatat(::dirfd(listing), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) return;
  walking_.inodes += 1;
  walking_.bytes += std::int64_t{status.st_blocks} * 512;
  if (!S_ISDIR(status.st_mode)) return;
  if (open_.size() >= depth_max || !open(::dirfd(listing), entry->d_name)) walking_.hidden = true;
}

}  // namespace overnight::workers
