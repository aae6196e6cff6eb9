#include "orchestrator/executors/keeper_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

extern char** environ;

namespace overnight::executors {
namespace {

int pidfd_open(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

// Field 22 of /proc/PID/stat: start time in clock ticks. Empty if the process is gone or a zombie.
std::string start_time(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const std::size_t close = text.rfind(')');
  if (close == std::string::npos) return "";
  std::istringstream fields(text.substr(close + 1));
  std::string field, state;
  fields >> state;
  if (state == "Z" || state == "X") return "";
  for (int i = 4; i <= 22 && fields >> field; ++i) continue;
  return field;
}

pid_t parent_of(const std::string& pid) {
  std::ifstream in("/proc/" + pid + "/stat");
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const std::size_t close = text.rfind(')');
  if (close == std::string::npos) return -1;
  std::istringstream fields(text.substr(close + 1));
  std::string state;
  pid_t parent = -1;
  fields >> state >> parent;
  return parent;
}

bool environment_names(const std::string& pid, const std::string& folder) {
  std::ifstream in("/proc/" + pid + "/environ", std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  return text.find(folder) != std::string::npos;
}

constexpr int orphan_rounds_max = 64;  // each round kills a whole generation; deeper chains do not exist in practice

}  // namespace

budgets::Result<StartedKeeper, std::string> start_keeper(const std::filesystem::path& keeper,
                                                         const std::filesystem::path& order,
                                                         const std::filesystem::path& log) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return budgets::unexpected("no socket pair for a keeper: " + std::string(std::strerror(errno)));
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 3);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  sigset_t all;
  sigemptyset(&all);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT, SIGUSR1, SIGUSR2}) sigaddset(&all, number);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::string program = keeper.string(), argument = order.string();
  char* argv[] = {program.data(), argument.data(), nullptr};
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, program.c_str(), &actions, &attributes, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(ends[1]);
  if (failed != 0) {
    close(ends[0]);
    return budgets::unexpected(program + " could not be started: " + std::strerror(failed));
  }
  return StartedKeeper{pid, pidfd_open(pid), ends[0]};
}

std::string identity_of(pid_t pid) { return std::to_string(pid) + " " + start_time(pid); }

std::optional<int> reopen(const std::string& identity, pid_t& pid) {
  std::istringstream in(identity);
  std::string start;
  if (!(in >> pid >> start) || pid <= 1) return std::nullopt;
  const int fd = pidfd_open(pid);
  if (fd < 0) return std::nullopt;
  if (start_time(pid) != start) {
    close(fd);
    return std::nullopt;
  }
  return fd;
}

int kill_orphans(const std::filesystem::path& folder) {
  int killed = 0;
  for (int round = 0; round < orphan_rounds_max; ++round) {
    bool found = false;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
      const std::string name = entry.path().filename().string();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      if (parent_of(name) != getpid() || !environment_names(name, folder.string())) continue;
      const pid_t pid = static_cast<pid_t>(std::stol(name));
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
      found = true;
      ++killed;
    }
    if (!found) break;
  }
  return killed;
}

bool write_durably(const std::filesystem::path& path, const std::string& text, std::string& error) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) {
    error = path.string() + ": " + std::strerror(errno);
    return false;
  }
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t n = write(fd, text.data() + written, text.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    written += static_cast<std::size_t>(n);
  }
  const bool good = written == text.size() && fdatasync(fd) == 0;
  if (!good) error = path.string() + ": " + std::strerror(errno);
  close(fd);
  return good;
}

}  // namespace overnight::executors
