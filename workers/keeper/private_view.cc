#include "workers/keeper/private_view.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "workers/keeper/descriptor.h"

namespace overnight::workers {
namespace {

constexpr unsigned long quiet = MS_NOSUID | MS_NODEV | MS_NOEXEC;

int result_of(int status) { return status == 0 ? 0 : errno; }

int make_read_only(const char* path, unsigned flags) {
  mount_attr wanted{};
  wanted.attr_set = MOUNT_ATTR_RDONLY;
  return result_of(::mount_setattr(AT_FDCWD, path, flags, &wanted, sizeof wanted));
}

int hide(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return 0;
  if (S_ISDIR(status.st_mode)) {
    return result_of(::mount("overnight-hidden", path.c_str(), "tmpfs", quiet | MS_RDONLY, "size=4k,mode=0555"));
  }
  return result_of(::mount("/dev/null", path.c_str(), nullptr, MS_BIND, nullptr));
}

int keep_read_only(const std::string& path) {
  if (::mount(path.c_str(), path.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) return errno;
  return make_read_only(path.c_str(), AT_RECURSIVE);
}

void make_folders(const std::string& path) {
  for (auto slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    ::mkdir(path.substr(0, slash).c_str(), 0755);
  }
  ::mkdir(path.c_str(), 0755);
}

// An empty file system over the enclosure, with the attempt's folder put back where it was.
int enclose(const std::string& enclosure, const std::string& folder) {
  const Descriptor own(::open_tree(AT_FDCWD, folder.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
  if (!own) return errno;
  if (::mount("overnight-home", enclosure.c_str(), "tmpfs", quiet, "size=64k,mode=0755") != 0) return errno;
  make_folders(folder);
  if (::move_mount(own.get(), "", AT_FDCWD, folder.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) return errno;
  return make_read_only(enclosure.c_str(), 0);
}

int own_shared_memory(std::int64_t bytes) {
  const char* place = "/dev/shm";
  struct stat status {};
  if (::stat(place, &status) != 0 || !S_ISDIR(status.st_mode)) return 0;
  const std::string options = "mode=1777" + (bytes > 0 ? ",size=" + std::to_string(bytes) : "");
  return result_of(::mount("overnight-shm", place, "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()));
}

}  // namespace

int narrow_view(const PrivateView& view) {
  int failure = own_shared_memory(view.shared_memory_bytes);
  for (const auto& path : view.read_only) {
    if (failure == 0) failure = keep_read_only(path);
  }
  if (failure == 0 && !view.enclosure.empty()) failure = enclose(view.enclosure, view.folder);
  for (const auto& path : view.hidden) {
    if (failure == 0) failure = hide(path);
  }
  // Root could leave its control groups otherwise; for others they are read-only anyway, and this may be refused.
  (void)make_read_only("/sys/fs/cgroup", AT_RECURSIVE);
  return failure;
}

void drop_capabilities() {
  for (const int capability :
       {CAP_SYS_ADMIN,  CAP_SYS_PTRACE,    CAP_SYS_MODULE,      CAP_SYS_RAWIO,         CAP_SYS_BOOT,
        CAP_SYS_TIME,   CAP_MKNOD,         CAP_DAC_READ_SEARCH, CAP_NET_ADMIN,         CAP_SYS_RESOURCE,
        CAP_MAC_ADMIN,  CAP_SYSLOG,        CAP_MAC_OVERRIDE,    CAP_SYS_PACCT,         CAP_SYS_TTY_CONFIG,
        CAP_WAKE_ALARM, CAP_BLOCK_SUSPEND, CAP_AUDIT_CONTROL,   CAP_AUDIT_READ,        CAP_LINUX_IMMUTABLE,
        CAP_IPC_OWNER,  CAP_BPF,           CAP_PERFMON,         CAP_CHECKPOINT_RESTORE}) {
    ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
}

}  // namespace overnight::workers
