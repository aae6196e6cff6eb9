#include "orchestrator/proposers/warden.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>

namespace overnight::proposers {
namespace {

constexpr int first_free = 64;    // descriptors are first moved out of the way of the fixed numbers
constexpr int look_again_ms = 5;  // while killed processes are not reaped yet
constexpr int exit_not_started = 127;

void close_from(unsigned first) { syscall(SYS_close_range, first, ~0u, 0); }

void default_signals() {
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void be_program(const WardenOrder& order) {
  setpgid(0, 0);
  default_signals();
  if (dup2(order.in, 0) < 0 || dup2(order.out, 1) < 0 || dup2(order.err, 2) < 0) _exit(exit_not_started);
  close_from(3);
  if (chdir(order.folder) != 0) _exit(exit_not_started);
  execve(order.path, order.argv, order.env);
  _exit(exit_not_started);
}

// Kills every child of this process, orphans that it inherited included.
void kill_children() {
  const int list = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
  if (list < 0) return;
  char text[8192];
  ssize_t n = 0;
  pid_t pid = 0;
  while ((n = read(list, text, sizeof text)) > 0) {
    for (ssize_t i = 0; i < n; ++i) {
      if (text[i] >= '0' && text[i] <= '9') {
        pid = pid * 10 + (text[i] - '0');
      } else if (pid > 0) {
        kill(pid, SIGKILL);
        pid = 0;
      }
    }
  }
  if (pid > 0) kill(pid, SIGKILL);
  close(list);
}

// Until nothing is left; returns the status of the program.
int end_all(pid_t program) {
  int status = 0, told = exit_not_started;
  bool reaped = false;
  while (true) {
    if (!reaped) kill(-program, SIGKILL);  // where /proc is hidden, at least its group
    kill_children();
    pid_t gone = 0;
    while ((gone = waitpid(-1, &status, WNOHANG)) > 0) {
      if (gone != program) continue;
      reaped = true;
      told = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    if (gone < 0) return told;
    poll(nullptr, 0, look_again_ms);
  }
}

// Copies what is there of stderr; false at its end.
bool copy_errors(int errors, int log, long& left) {
  char chunk[4096];
  const ssize_t n = read(errors, chunk, sizeof chunk);
  if (n <= 0) return false;
  const long wanted = n < left ? n : left;
  if (log >= 0 && wanted > 0) left -= write(log, chunk, static_cast<std::size_t>(wanted)) > 0 ? wanted : left;
  return true;
}

}  // namespace

void be_warden(const WardenOrder& given) {
  WardenOrder order = given;
  setsid();  // no terminal, and no signal meant for the orchestrator's group
  prctl(PR_SET_NAME, "proposer-warden");
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT, SIGUSR1, SIGUSR2}) signal(number, SIG_IGN);
  int* const kept[] = {&order.control, &order.errors, &order.log, &order.in, &order.out, &order.err};
  for (int* fd : kept) *fd = *fd < 0 ? -1 : fcntl(*fd, F_DUPFD, first_free);
  int next = 3;
  for (int* fd : kept) {
    if (*fd >= 0) *fd = dup2(*fd, next++);
  }
  close_from(static_cast<unsigned>(next));

  const pid_t program = fork();
  if (program == 0) be_program(order);
  if (program < 0) _exit(exit_not_started);
  setpgid(program, program);
  close(order.in);
  close(order.out);
  close(order.err);
  const int ended = static_cast<int>(syscall(SYS_pidfd_open, program, 0));
  pollfd wait[3] = {{order.control, POLLIN, 0}, {ended, POLLIN, 0}, {order.errors, POLLIN, 0}};
  while (true) {
    const int ready = poll(wait, 3, -1);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0 || wait[0].revents != 0 || wait[1].revents != 0) break;
    if (wait[2].revents != 0 && !copy_errors(order.errors, order.log, order.log_left)) wait[2].fd = -1;
  }
  const int status = end_all(program);
  fcntl(order.errors, F_SETFL, O_NONBLOCK);
  while (copy_errors(order.errors, order.log, order.log_left)) {
  }
  _exit(status);
}

}  // namespace overnight::proposers
