#include "workers/keeper/attempt_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "workers/keeper/clock.h"
#include "workers/keeper/folders.h"
#include "workers/protocol/pattern.h"

namespace overnight::workers {
namespace {

using Done = AttemptFolder::Done;

constexpr const char* reserve_name = ".receipt.reserve";
constexpr off_t receipt_reserve_bytes = 64 * 1024;  // ten times what a receipt takes

Done failed(const std::string& what) { return budgets::unexpected(what + ": " + std::strerror(errno)); }

bool write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t size = ::write(file, text.data(), text.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(size));
  }
  return true;
}

// Opens below `root` only: no "..", no link that leads out, no magic links of /proc.
Descriptor open_beneath(int root, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;
  return Descriptor(static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how)));
}

Done copy_file(int from, int to, const std::string& name, mode_t mode, const std::function<bool()>& go_on) {
  const Descriptor source(::openat(from, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!source && errno == ENOENT) return {};  // deleted since it was listed
  if (!source) return failed("cannot read the workspace's file " + name);
  const Descriptor target(::openat(to, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!target) return failed("cannot copy the workspace's file " + name);
  constexpr std::size_t part = 16 << 20;  // so that a stop is heard while a large file is copied
  while (true) {
    const ssize_t size = ::copy_file_range(source.get(), nullptr, target.get(), nullptr, part, 0);
    if (size == 0) break;
    if (size > 0) {
      if (!go_on()) return budgets::unexpected(std::string("stopped while the workspace was copied"));
      continue;
    }
    if (errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS)
      return failed("cannot copy " + name);
    std::string buffer(1 << 18, '\0');
    ssize_t got = 0;
    while ((got = ::read(source.get(), buffer.data(), buffer.size())) > 0) {
      if (!write_all(target.get(), {buffer.data(), static_cast<std::size_t>(got)}))
        return failed("cannot copy " + name);
      if (!go_on()) return budgets::unexpected(std::string("stopped while the workspace was copied"));
    }
    break;
  }
  ::fchmod(target.get(), (mode & 0777) | 0600);
  return {};
}

Done copy_link(int from, int to, const std::string& name) {
  char target[4096];
  const ssize_t size = ::readlinkat(from, name.c_str(), target, sizeof target - 1);
  if (size < 0 && errno == ENOENT) return {};  // deleted since it was listed
  if (size < 0) return failed("cannot read the link " + name);
  target[size] = '\0';
  if (::symlinkat(target, to, name.c_str()) != 0) return failed("cannot copy the link " + name);
  return {};
}

struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const FileId&) const = default;
};

FileId id_of(const struct stat& status) { return {status.st_dev, status.st_ino}; }

Done copy_tree(Descriptor from, int to, int depth, const std::vector<FileId>& but, const std::function<bool()>& go_on) {
  if (depth > tree_depth_max) return budgets::unexpected(std::string("the workspace is nested deeper than 64 folders"));
  const int source = from.get();
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::fdopendir(::dup(source)), ::closedir);
  if (!listing) return failed("cannot list the workspace");
  while (const dirent* entry = ::readdir(listing.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == ".." || name == ".git") continue;
    if (!go_on()) return budgets::unexpected(std::string("stopped while the workspace was copied"));
    struct stat status {};
    if (::fstatat(source, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;  // deleted since it was listed: others may work in the workspace
      return failed("cannot read " + name);
    }
    if (std::ranges::find(but, id_of(status)) != but.end()) continue;
    Done done;
    if (S_ISREG(status.st_mode)) {
      done = copy_file(source, to, name, status.st_mode, go_on);
    } else if (S_ISLNK(status.st_mode)) {
      done = copy_link(source, to, name);
    } else if (S_ISDIR(status.st_mode)) {
      Descriptor inner(::openat(source, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!inner && errno == ENOENT) continue;
      ::mkdirat(to, name.c_str(), 0755);
      const Descriptor outer(::openat(to, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!inner || !outer) return failed("cannot open the workspace's folder " + name);
      done = copy_tree(std::move(inner), outer.get(), depth + 1, but, go_on);
    }
    if (!done) return done;
  }
  return {};
}

}  // namespace

budgets::Result<std::string, std::string> read_whole(int file, std::int64_t most) {
  struct stat status {};
  if (::fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
    return budgets::unexpected(std::string("is not a regular file"));
  }
  if (status.st_size > most) return budgets::unexpected("is larger than " + std::to_string(most) + " bytes");
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t at = 0;
  while (at < text.size()) {
    const ssize_t size = ::pread(file, text.data() + at, text.size() - at, static_cast<off_t>(at));
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    at += static_cast<std::size_t>(size);
  }
  text.resize(at);
  return text;
}

budgets::Result<AttemptFolder, std::string> AttemptFolder::open(const std::string& path) {
  Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder) return budgets::unexpected("cannot open the attempt's folder " + path + ": " + std::strerror(errno));
  return AttemptFolder(std::move(folder));
}

void AttemptFolder::move_aside(const std::string& name) const {
  const std::string aside = "aside-" + name + "-" + std::to_string(monotonic_ms());
  ::renameat(fd(), name.c_str(), fd(), aside.c_str());
}

void AttemptFolder::unlock() const {
  struct stat status {};
  if (::fstat(fd(), &status) == 0 && (status.st_mode & 0700) != 0700) ::fchmod(fd(), (status.st_mode & 0777) | 0700);
}

Done AttemptFolder::make_folder(const std::string& relative) const {
  unlock();
  if (::mkdirat(fd(), relative.c_str(), 0755) == 0) return {};
  const int why = errno;
  const auto slash = relative.find('/');
  if (why == EEXIST && slash == std::string::npos) {
    move_aside(relative);
    if (::mkdirat(fd(), relative.c_str(), 0755) == 0) return {};
  }
  return failed("cannot make the folder " + relative + " in the attempt's folder");
}

Done AttemptFolder::copy_into(const std::string& from, const std::string& relative, const std::vector<std::string>& but,
                              const std::function<bool()>& go_on) const {
  Descriptor source(::open(from.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!source) return failed("cannot open the workspace " + from);
  const Descriptor target = open_folder(relative);
  if (!target) return failed("cannot open " + relative);
  std::vector<FileId> left_out;
  for (const auto& path : but) {
    struct stat status {};
    if (!path.empty() && ::stat(path.c_str(), &status) == 0) left_out.push_back(id_of(status));
  }
  return copy_tree(std::move(source), target.get(), 0, left_out, go_on);
}

Done AttemptFolder::replace_seed(const std::string& relative, const SeedReplacement& what, std::int64_t seed) const {
  const std::string where = "seed.replace in " + what.file + ": ";
  const Descriptor work = open_folder(relative);
  const Descriptor file = open_beneath(work.get(), what.file, O_RDWR | O_NONBLOCK);
  if (!file) return failed(where + "cannot open it inside the workspace");
  const auto text = read_whole(file.get(), seeded_file_bytes_max);
  if (!text) return budgets::unexpected(where + text.error());
  const auto pattern = Pattern::compile(what.pattern);
  if (!pattern) return budgets::unexpected(where + pattern.error().explain);
  const auto match = pattern->search(*text);
  if (!match) return budgets::unexpected(where + "nothing matches \"" + what.pattern + "\"");
  if (match->end == match->begin) return budgets::unexpected(where + "the pattern matches an empty text");
  if (pattern->search(*text, match->end)) {
    return budgets::unexpected(where + "\"" + what.pattern + "\" matches more than once; make it say which");
  }
  const std::string changed =
      text->substr(0, match->group_begin) + std::to_string(seed) + text->substr(match->group_end);
  if (::ftruncate(file.get(), 0) != 0 || ::lseek(file.get(), 0, SEEK_SET) != 0 || !write_all(file.get(), changed)) {
    return failed(where + "cannot write it");
  }
  return {};
}

Done AttemptFolder::write_new(const std::string& name, const std::string& text, bool durable) const {
  unlock();
  const std::string beside = "." + name + ".new";
  ::unlinkat(fd(), beside.c_str(), 0);
  Descriptor file(::openat(fd(), beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!file) {
    move_aside(beside);
    file.reset(::openat(fd(), beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  }
  if (!file || !write_all(file.get(), text)) return failed("cannot write " + name);
  if (durable && ::fsync(file.get()) != 0) return failed("cannot fsync " + name);
  if (::renameat(fd(), beside.c_str(), fd(), name.c_str()) != 0) {
    move_aside(name);  // a task may have put a folder there
    if (::renameat(fd(), beside.c_str(), fd(), name.c_str()) != 0) return failed("cannot rename " + name);
  }
  if (durable && ::fsync(fd()) != 0) return failed("cannot fsync the attempt's folder");
  return {};
}

Done AttemptFolder::write_durably(const std::string& name, const std::string& text) const {
  return write_new(name, text, true);
}

Done AttemptFolder::reserve_receipt() const {
  const Descriptor file(::openat(fd(), reserve_name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return failed("cannot keep room for the receipt");
  const int why = ::posix_fallocate(file.get(), 0, receipt_reserve_bytes);
  if (why == 0 || why == EOPNOTSUPP || why == EINVAL) return {};
  errno = why;
  return failed("cannot keep room for the receipt");
}

Done AttemptFolder::write_receipt(const std::string& text) const {
  unlock();
  ::unlinkat(fd(), reserve_name, 0);
  auto written = write_durably("receipt.json", text);
  if (written) return written;
  // Somebody took the room all the same. What the task left in its own folders is worth less than the receipt.
  remove_working_folders();
  return write_durably("receipt.json", text);
}

void AttemptFolder::remove_working_folders() const {
  for (const char* name : {"tmp", "evaluate", "home", "work"}) remove_tree(fd(), name);
}

bool AttemptFolder::is_at(const std::string& path) const {
  struct stat named {};
  struct stat ours {};
  return ::lstat(path.c_str(), &named) == 0 && ::fstat(fd(), &ours) == 0 && id_of(named) == id_of(ours);
}

Done AttemptFolder::write(const std::string& name, const std::string& text) const {
  return write_new(name, text, false);
}

Descriptor AttemptFolder::open_folder(const std::string& relative) const {
  return open_beneath(fd(), relative, O_RDONLY | O_DIRECTORY);
}

std::int64_t AttemptFolder::free_bytes() const {
  struct statvfs status {};
  if (::fstatvfs(fd(), &status) != 0) return -1;
  return static_cast<std::int64_t>(status.f_bavail) * static_cast<std::int64_t>(status.f_frsize);
}

}  // namespace overnight::workers
