#include "tests/store/children.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

namespace overnight::store {
namespace {

constexpr uid_t nobody = 65534;

std::string in_child(const std::function<std::string()>& code) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    const std::string found = code();
    (void)!write(ends[1], found.data(), found.size());
    _exit(0);
  }
  close(ends[1]);
  std::string text;
  char chunk[4096];
  for (ssize_t n; (n = read(ends[0], chunk, sizeof chunk)) > 0;) text.append(chunk, static_cast<std::size_t>(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? text : text + " (the child was killed by signal " + std::to_string(WTERMSIG(status)) + ")";
}

void be_root_inside(uid_t user, gid_t group) {
  std::ofstream("/proc/self/setgroups") << "deny";
  std::ofstream("/proc/self/uid_map") << "0 " << user << " 1";
  std::ofstream("/proc/self/gid_map") << "0 " << group << " 1";
}

}  // namespace

std::string as_nobody(const std::function<std::string()>& code) {
  return in_child([&]() -> std::string {
    if (geteuid() == 0 && (setgid(nobody) != 0 || setuid(nobody) != 0)) return "the user could not be changed";
    return code();
  });
}

std::string on_small_disk(const std::string& folder, std::size_t bytes, const std::function<std::string()>& code) {
  return in_child([&]() -> std::string {
    const uid_t user = geteuid();
    const gid_t group = getegid();
    if (unshare(CLONE_NEWNS | (user == 0 ? 0 : CLONE_NEWUSER)) != 0)
      return std::string("skipped: no mount namespace here: ") + std::strerror(errno);
    if (user != 0) be_root_inside(user, group);
    if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
      return std::string("skipped: mounts cannot be made private: ") + std::strerror(errno);
    const std::string size = "mode=0700,size=" + std::to_string(bytes);
    if (mount("tmpfs", folder.c_str(), "tmpfs", 0, size.c_str()) != 0)
      return std::string("skipped: no file system can be mounted here: ") + std::strerror(errno);
    return code();
  });
}

bool make_read_only(const std::string& folder) {
  return mount("tmpfs", folder.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) == 0;
}

}  // namespace overnight::store
