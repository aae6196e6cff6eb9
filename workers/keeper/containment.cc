#include "workers/keeper/containment.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>

namespace overnight::workers {
namespace {

bool write_file(const char* path, const std::string& text) {
  const Descriptor file(::open(path, O_WRONLY | O_CLOEXEC));
  return file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// Our user as itself: files keep their owners, programs see the name they know. Groups beyond the first stay in force
// but cannot be named.
bool map_own_user(unsigned uid, unsigned gid) {
  ::prctl(PR_SET_DUMPABLE, 1);  // else /proc/self belongs to root and the maps cannot be written
  const std::string user = std::to_string(uid) + " " + std::to_string(uid) + " 1";
  const std::string group = std::to_string(gid) + " " + std::to_string(gid) + " 1";
  write_file("/proc/self/setgroups", "deny");
  return write_file("/proc/self/uid_map", user) && write_file("/proc/self/gid_map", group);
}

// A slave and not private: nothing of ours leaks out, but what is mounted on the machine while this waits for an order
// is seen.
bool part_from_other_mounts() { return ::mount("none", "/", nullptr, MS_REC | MS_SLAVE, nullptr) == 0; }

// Where the root is a plain folder of some mount (a chroot), that mount has no name here: it cannot be parted from, and
// what is mounted on "/" would be seen outside. But /proc is a mount. Made private, it can carry a copy of all that is
// seen from here, and that copy, a mount, can be the root.
bool make_root_a_mount() {
  if (::mount("none", "/proc", nullptr, MS_PRIVATE, nullptr) != 0) return false;
  const Descriptor copy(::open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
  return copy && ::move_mount(copy.get(), "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH) == 0 &&
         ::fchdir(copy.get()) == 0 && ::chroot(".") == 0;
}

bool mount_private_proc() {
  return (part_from_other_mounts() || (make_root_a_mount() && part_from_other_mounts())) &&
         ::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0;
}

// Runs `check` in a child made with `flags`; true if it could be made and `check` held.
template <typename Check>
bool holds_in_child(int flags, Check check) {
  int pidfd = -1;
  const pid_t pid = fork_with(flags, &pidfd);
  if (pid < 0) return false;
  if (pid == 0) ::_exit(check() ? 0 : 1);
  const Descriptor end(pidfd);
  int status = 0;
  return ::waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// An init must be able to have children: some sandboxes let the namespace be made but not used.
bool can_fork() {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(0);
  return pid > 0 && ::waitpid(pid, nullptr, 0) == pid;
}

void probe_namespaces(Containment& found) {
  const unsigned uid = ::geteuid();
  const unsigned gid = ::getegid();
  const int user = found.needs_user_namespace ? CLONE_NEWUSER : 0;
  const auto mapped = [&] { return user == 0 || map_own_user(uid, gid); };
  if (holds_in_child(user | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC,
                     [&] { return mapped() && mount_private_proc() && can_fork(); })) {
    found.pid_namespace = found.private_proc = true;
  } else {
    found.pid_namespace = holds_in_child(user | CLONE_NEWPID, [&] { return mapped() && can_fork(); });
  }
}

}  // namespace

std::string_view name_of(KillMechanism mechanism) {
  switch (mechanism) {
    case KillMechanism::pid_namespace:
      return "pid namespace";
    case KillMechanism::cgroup:
      return "cgroup.kill";
    case KillMechanism::subreaper:
      return "subreaper loop";
  }
  return "unknown";
}

int fork_with(int flags, int* pidfd) {
  const long all = flags | SIGCHLD | CLONE_PIDFD;
  return static_cast<int>(::syscall(SYS_clone, all, nullptr, pidfd, nullptr, nullptr));
}

Containment probe_capabilities(std::string_view forced) {
  Containment found;
  found.cgroups = find_cgroup_places();
  if (forced != "subreaper" && forced != "cgroup") {
    probe_namespaces(found);
    if (!found.pid_namespace) {
      found.needs_user_namespace = true;
      probe_namespaces(found);
      found.needs_user_namespace = found.pid_namespace;
    }
  }
  if (found.pid_namespace) {
    found.mechanism = KillMechanism::pid_namespace;
  } else if (forced != "subreaper" && !found.cgroups.kill.empty()) {
    found.mechanism = KillMechanism::cgroup;
  }
  return found;
}

int clone_flags_for(const Containment& containment) {
  if (containment.mechanism != KillMechanism::pid_namespace) return 0;
  return CLONE_NEWPID | (containment.private_proc ? CLONE_NEWNS | CLONE_NEWIPC : 0) |
         (containment.needs_user_namespace ? CLONE_NEWUSER : 0);
}

void settle_in_namespaces(const Containment& containment, unsigned uid, unsigned gid) {
  if (containment.needs_user_namespace) map_own_user(uid, gid);
  if (containment.private_proc) mount_private_proc();
}

std::string to_json(const Containment& found) {
  return nlohmann::json{{"kill_mechanism", std::string(name_of(found.mechanism))},
                        {"pid_namespace", found.pid_namespace},
                        {"user_namespace", found.needs_user_namespace},
                        {"private_proc", found.private_proc},
                        {"private_data_hidden", found.private_proc},
                        {"cgroup_kill", found.cgroups.kill},
                        {"cgroup_memory", found.cgroups.memory},
                        {"cgroup_pids", found.cgroups.pids},
                        {"cgroup_memory_v2", found.cgroups.memory_is_v2},
                        {"cgroup_pids_v2", found.cgroups.pids_is_v2}}
      .dump();
}

std::optional<Containment> containment_from_json(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  try {
    Containment told;
    told.pid_namespace = json.at("pid_namespace").get<bool>();
    told.needs_user_namespace = json.at("user_namespace").get<bool>();
    told.private_proc = json.at("private_proc").get<bool>();
    told.cgroups = {json.at("cgroup_kill").get<std::string>(), json.at("cgroup_memory").get<std::string>(),
                    json.at("cgroup_pids").get<std::string>(), json.at("cgroup_memory_v2").get<bool>(),
                    json.at("cgroup_pids_v2").get<bool>()};
    const auto mechanism = json.at("kill_mechanism").get<std::string>();
    for (const auto known : {KillMechanism::pid_namespace, KillMechanism::cgroup, KillMechanism::subreaper}) {
      told.mechanism = known;
      if (name_of(known) == mechanism) return told;
    }
  } catch (const nlohmann::json::exception&) {
  }
  return std::nullopt;
}

}  // namespace overnight::workers
