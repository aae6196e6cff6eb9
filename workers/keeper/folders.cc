#include "workers/keeper/folders.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace overnight::workers {
namespace {

constexpr int open_depth_max = 64;  // what lies deeper is moved up first: descriptors are few, depth is not

// Deletes downwards; keeps the names that it moved up to the top for another round.
class Remover {
 public:
  explicit Remover(int top) : top_(top) {}

  bool remove(const std::string& name) {
    bool all = one(top_, name.c_str(), 0);
    while (!moved_up_.empty()) {
      const std::string next = std::move(moved_up_.back());
      moved_up_.pop_back();
      all = one(top_, next.c_str(), 0) && all;
    }
    return all;
  }

 private:
  bool one(int parent, const char* name, int depth) {
    if (::unlinkat(parent, name, 0) == 0 || errno == ENOENT) return true;
    if (errno != EISDIR && errno != EPERM && errno != EACCES) return false;
    if (depth == open_depth_max) {
      std::string up = ".overnight-deep-" + std::to_string(++count_);
      if (::renameat(parent, name, top_, up.c_str()) != 0) return false;
      moved_up_.push_back(std::move(up));
      return true;
    }
    Descriptor folder = open_unlocked(parent, name);
    if (!folder) return errno == ENOENT;
    struct stat status {};
    if (::fstat(folder.get(), &status) == 0 && (status.st_mode & 0700) != 0700) ::fchmod(folder.get(), 0700);
    const bool emptied = empty(folder.get(), depth);
    return ::unlinkat(parent, name, AT_REMOVEDIR) == 0 && emptied;
  }

  bool empty(int folder, int depth) {
    const int copy = ::fcntl(folder, F_DUPFD_CLOEXEC, 3);
    const std::unique_ptr<DIR, int (*)(DIR*)> listing(copy < 0 ? nullptr : ::fdopendir(copy), ::closedir);
    if (!listing) return false;
    bool all = true;
    while (const dirent* entry = ::readdir(listing.get())) {
      if (std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0) continue;
      all = one(folder, entry->d_name, depth + 1) && all;
    }
    return all;
  }

  int top_;
  std::int64_t count_ = 0;
  std::vector<std::string> moved_up_;
};

}  // namespace

Descriptor open_unlocked(int parent, const char* name) {
  constexpr int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  Descriptor folder(::openat(parent, name, flags));
  if (folder || errno != EACCES) return folder;
  // By descriptor: a name could be swapped for a link to something else between two calls.
  const Descriptor itself(::openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  const std::string path = "/proc/self/fd/" + std::to_string(itself.get());
  if (itself && ::chmod(path.c_str(), 0700) == 0) folder.reset(::openat(parent, name, flags));
  return folder;
}

bool remove_tree(int parent, const char* name) { return Remover(parent).remove(name); }

}  // namespace overnight::workers
