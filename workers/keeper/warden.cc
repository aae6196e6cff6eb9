#include "workers/keeper/warden.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <limits>
#include <span>

#include "workers/keeper/descendants.h"
#include "workers/keeper/standby.h"

namespace overnight::workers {
namespace {

constexpr int oom_score = 500;  // under memory pressure the kernel takes tasks before keepers and the orchestrator

void tell(int channel, WardenNote::Kind kind, int value) { (void)send_note(channel, {kind, value}); }

// Everything but `kept` and the standard three: the keeper's control channel and receipts are no business of a task.
void close_all_but(std::vector<int> kept) {
  std::sort(kept.begin(), kept.end());
  unsigned next = 3;
  for (const int fd : kept) {
    if (fd < 3) continue;
    const auto here = static_cast<unsigned>(fd);
    if (here > next) ::syscall(SYS_close_range, next, here - 1, 0);
    next = std::max(next, here + 1);
  }
  ::syscall(SYS_close_range, next, ~0U, 0);
}

// What is ignored stays so through exec; all others the keeper reset when it started.
void reset_signals() {
  for (const int signal : ignored_by_keepers) std::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void limit(int resource, rlim_t most) {
  rlimit now{};
  ::getrlimit(static_cast<__rlimit_resource_t>(resource), &now);
  now.rlim_cur = now.rlim_max = std::min(now.rlim_max, most);
  ::setrlimit(static_cast<__rlimit_resource_t>(resource), &now);
}

void bind_to_cpus(const std::vector<int>& cpus) {
  if (cpus.empty()) return;
  const int highest = *std::max_element(cpus.begin(), cpus.end());
  cpu_set_t* set = CPU_ALLOC(highest + 1);
  const std::size_t size = CPU_ALLOC_SIZE(highest + 1);
  CPU_ZERO_S(size, set);
  for (const int cpu : cpus) CPU_SET_S(static_cast<std::size_t>(cpu), size, set);
  ::sched_setaffinity(0, size, set);
  CPU_FREE(set);
}

void raise_oom_score() {
  const Descriptor file(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  const std::string text = std::to_string(oom_score);
  if (file) (void)!::write(file.get(), text.data(), text.size());
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const auto& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

void enter(const std::vector<int>& groups, int channel) {
  for (const int group : groups) {
    if (::write(group, "0", 1) != 1) tell(channel, WardenNote::Kind::group_refused, errno);
  }
}

void close_all(const std::vector<int>& descriptors) {
  for (const int descriptor : descriptors) ::close(descriptor);
}

void stand_on_null() {
  const Descriptor null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (const int fd : {0, 1, 2}) ::dup2(null.get(), fd);
}

// All that does not depend on what it will run.
void get_ready_to_lead() {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::setsid();
  limit(RLIMIT_CORE, 0);
  drop_capabilities();
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  ::umask(022);
}

[[noreturn]] void run_leader(const Containment& containment, const SharedText& text, int channel,
                             const std::vector<int>& groups, int warden) {
  get_ready_to_lead();
  enter(groups, channel);
  close_all(groups);
  WardenNote go;
  std::vector<Descriptor> given;
  if (!receive_note(warden, go, given) || given.size() < 2) ::_exit(127);
  const LeaderSpec spec = leader_spec_from(text.get());
  ::prctl(PR_SET_DUMPABLE, 1);  // so that /proc/self is ours until exec makes it so anyway
  bind_to_cpus(spec.cpus);
  raise_oom_score();
  if (spec.file_bytes_max > 0) limit(RLIMIT_FSIZE, static_cast<rlim_t>(spec.file_bytes_max));
  if (spec.tasks_max > 0 && containment.needs_user_namespace) limit(RLIMIT_NPROC, static_cast<rlim_t>(spec.tasks_max));
  reset_signals();
  ::dup2(given[0].get(), 1);
  ::dup2(given[1].get(), 2);
  // By path: a descriptor of the keeper would lead out of the phase's own mounts.
  if (::chdir(spec.work_path.c_str()) != 0) {
    tell(channel, WardenNote::Kind::exec_failed, errno);
    ::_exit(127);
  }
  ::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
  tell(channel, WardenNote::Kind::leader_starts, 0);
  auto argv = pointers(spec.command);
  auto env = pointers(spec.env);
  ::execve(spec.program.c_str(), argv.data(), env.data());
  int failure = errno;
  if (failure == ENOEXEC) {  // a script without its first line: as every shell does
    std::vector<std::string> command = spec.command;
    command.front() = spec.program;
    command.insert(command.begin(), "/bin/sh");
    argv = pointers(command);
    ::execve("/bin/sh", argv.data(), env.data());
    failure = errno;
  }
  tell(channel, WardenNote::Kind::exec_failed, failure);
  ::_exit(127);
}

struct Reaped {
  bool leader = false;  // was among those that had ended
  int leader_status = 0;
  bool nobody_left = false;
};

Reaped reap(pid_t leader) {
  Reaped reaped;
  int status = 0;
  pid_t pid = 0;
  while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
    if (pid != leader) continue;
    reaped.leader_status = status;
    reaped.leader = true;
  }
  reaped.nobody_left = pid < 0 && errno == ECHILD;
  return reaped;
}

[[noreturn]] void keeper_is_gone(const Containment& containment) {
  if (containment.mechanism != KillMechanism::pid_namespace) {
    kill_descendants(::getpid(), std::numeric_limits<std::int64_t>::max());
  }
  ::_exit(0);  // as init this kills the namespace
}

[[noreturn]] void watch(pid_t leader, const Containment& containment, int channel, int children) {
  pollfd ready[2] = {{channel, POLLIN, 0}, {children, POLLIN, 0}};
  const pid_t group = leader;  // it leads a session, so also a process group
  int passed_on = 0;
  while (true) {
    ::poll(ready, 2, -1);
    if (ready[1].revents & POLLIN) {
      signalfd_siginfo info;
      (void)!::read(children, &info, sizeof info);
      const Reaped reaped = reap(leader);
      if (reaped.leader) {
        const bool of_signal = WIFSIGNALED(reaped.leader_status) && WTERMSIG(reaped.leader_status) == passed_on;
        if (passed_on > 0 && of_signal && !reaped.nobody_left) ::kill(-group, passed_on);
        tell(channel, WardenNote::Kind::leader_ended, reaped.leader_status);
        leader = -1;
      }
      if (reaped.nobody_left) tell(channel, WardenNote::Kind::all_ended, 0);
    }
    if (ready[0].revents == 0) continue;
    WardenNote note;
    const ssize_t size = ::recv(channel, &note, sizeof note, MSG_DONTWAIT);
    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) keeper_is_gone(containment);
    if (size == sizeof note && note.kind == WardenNote::Kind::signal && leader > 0) {
      passed_on = note.value;
      ::kill(leader, note.value);
    }
  }
}

// Everything but the order's part: descriptors, death with the keeper, namespaces, a name, no signals.
void settle(const Containment& containment, std::vector<int> kept, unsigned uid, unsigned gid) {
  close_all_but(std::move(kept));
  stand_on_null();
  if (containment.mechanism == KillMechanism::pid_namespace) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  } else {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  }
  settle_in_namespaces(containment, uid, gid);
  ::prctl(PR_SET_DUMPABLE, 0);  // a task of the same user must not trace its own warden
  ::prctl(PR_SET_NAME, "overnight-init");
  sigset_t all;
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
}

int ends_of_children() {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  return ::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
}

struct Leader {
  pid_t pid = -1;
  int failure = 0;     // errno, if there is none
  Descriptor channel;  // to it
};

Leader fork_leader(const Containment& containment, const SharedText& text, int channel,
                   const std::vector<int>& groups) {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return {-1, errno, {}};
  Descriptor ours(pair[0]);
  Descriptor theirs(pair[1]);
  const pid_t pid = ::fork();
  const int failure = pid < 0 ? errno : 0;
  if (pid != 0) return {pid, failure, std::move(ours)};
  ours.reset();  // else it would wait for itself when the warden is gone
  run_leader(containment, text, channel, groups, theirs.get());
}

}  // namespace

void run_warden(const Containment& containment, const SharedText& text, int channel, const std::vector<int>& groups,
                unsigned uid, unsigned gid) {
  std::vector<int> kept = groups;
  kept.push_back(channel);
  settle(containment, std::move(kept), uid, gid);
  const int children = ends_of_children();
  Leader leader = fork_leader(containment, text, channel, groups);
  close_all(groups);
  // The keeper may have died before the death signal was armed: then this reads the end of file.
  WardenNote go;
  std::vector<Descriptor> given;
  if (!receive_note(channel, go, given)) ::_exit(0);
  if (leader.failure != 0) {
    tell(channel, WardenNote::Kind::exec_failed, leader.failure);
    ::_exit(0);
  }
  const LeaderSpec spec = leader_spec_from(text.get());
  show_as_argument(spec.work_path);
  if (const int refused = containment.private_proc ? narrow_view(spec.view) : 0) {
    tell(channel, WardenNote::Kind::view_refused, refused);
    ::_exit(0);
  }
  std::vector<int> passed_on;
  for (const Descriptor& descriptor : given) passed_on.push_back(descriptor.get());
  (void)send_note(leader.channel.get(), go, passed_on);  // if it was killed as it waited, its end is told below
  leader.channel.reset();
  given.clear();  // else our copies would keep the log pipes open
  watch(leader.pid, containment, channel, children);
}

}  // namespace overnight::workers
