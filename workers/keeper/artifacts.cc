#include "workers/keeper/artifacts.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>

#include "workers/keeper/folders.h"

namespace overnight::workers {
namespace {

constexpr std::int64_t entries_max = 1'000'000;
constexpr int depth_max = 64;
constexpr std::size_t named_max = 5;

class Sweeper {
 public:
  explicit Sweeper(int root) : root_(root) {}

  void folder(int parent, const char* name, const std::string& path, int depth) {
    Descriptor opened = open_unlocked(parent, name);
    const int fd = opened.get();
    const std::unique_ptr<DIR, int (*)(DIR*)> listing(opened ? ::fdopendir(opened.release()) : nullptr, ::closedir);
    if (!listing) {
      sweep_.complete = false;
      return;
    }
    while (const dirent* entry = ::readdir(listing.get())) {
      if (std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0) continue;
      if (++seen_ > entries_max) {
        sweep_.complete = false;
        return;
      }
      one(fd, entry->d_name, path + entry->d_name, depth);
    }
  }

  ArtifactSweep take() { return std::move(sweep_); }

 private:
  void one(int parent, const char* name, const std::string& path, int depth) {
    struct stat status {};
    if (::fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return;
    if (S_ISREG(status.st_mode)) {
      // Apparent size: what a copy takes. Sparse files can claim more than 64 bits hold.
      const std::int64_t room = std::numeric_limits<std::int64_t>::max() - sweep_.bytes;
      sweep_.bytes += std::min<std::int64_t>(room, status.st_size);
    } else if (S_ISDIR(status.st_mode) && depth < depth_max) {
      folder(parent, name, path + "/", depth + 1);
    } else if (S_ISDIR(status.st_mode) || !S_ISLNK(status.st_mode) || !stays_inside(path)) {
      if (!remove_tree(parent, name)) sweep_.complete = false;
      ++sweep_.removed_count;
      if (sweep_.removed.size() < named_max) sweep_.removed.push_back(path.substr(0, 64));
    }
  }

  bool stays_inside(const std::string& path) const {
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    const Descriptor target(static_cast<int>(::syscall(SYS_openat2, root_, path.c_str(), &how, sizeof how)));
    struct stat status {};
    return target && ::fstat(target.get(), &status) == 0 && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode));
  }

  int root_;
  std::int64_t seen_ = 0;
  ArtifactSweep sweep_;
};

}  // namespace

ArtifactSweep sweep_artifacts(int artifacts_folder) {
  Sweeper sweeper(artifacts_folder);
  sweeper.folder(artifacts_folder, ".", "", 0);
  return sweeper.take();
}

}  // namespace overnight::workers
