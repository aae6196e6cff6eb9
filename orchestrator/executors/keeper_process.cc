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
#include <vector>

#include "workers/protocol/standby.h"

extern char** environ;

namespace overnight::executors {
namespace {

int pidfd_open(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

// What can be read of a file of /proc. A process that ends between open and read is an exception of the stream's
// buffer, which would end this program; a stream that takes the buffer as a whole keeps it to itself.
std::string text_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// Field 22 of /proc/PID/stat: start time in clock ticks. Empty if the process is gone or a zombie.
std::string start_time(pid_t pid) {
  const std::string text = text_of("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t close = text.rfind(')');
  if (close == std::string::npos) return "";
  std::istringstream fields(text.substr(close + 1));
  std::string field, state;
  fields >> state;
  if (state == "Z" || state == "X") return "";
  for (int i = 4; i <= 22 && fields >> field; ++i) continue;
  return field;
}

// The identity lies where a task can write: it must not make us kill a stranger.
bool is_keeper(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/cmdline", std::ios::binary);
  std::string program, order;
  std::getline(in, program, '\0');
  std::getline(in, order, '\0');
  // One that stands by has not read yet what it was given.
  return program.ends_with("overnight-worker") && (order.ends_with("/order.json") || order == workers::standby_verb);
}

}  // namespace

std::string probe_containment(const std::filesystem::path& keeper) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return "";
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  std::string program = keeper.string(), verb = "--probe";
  char* argv[] = {program.data(), verb.data(), nullptr};
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, program.c_str(), &actions, nullptr, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string text;
  char chunk[4096];
  for (ssize_t n = 0; failed == 0 && (n = read(ends[0], chunk, sizeof chunk)) != 0;) {
    if (n < 0 && errno != EINTR) break;
    if (n > 0) text.append(chunk, static_cast<std::size_t>(n));
  }
  close(ends[0]);
  int status = -1;
  if (failed == 0) waitpid(pid, &status, 0);
  return status == 0 ? text : "";
}

budgets::Result<StartedKeeper, std::string> start_keeper(const std::filesystem::path& keeper,
                                                         const std::string& containment) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return budgets::unexpected("no socket pair for a keeper: " + std::string(std::strerror(errno)));
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
  for (const int output : {1, 2}) posix_spawn_file_actions_adddup2(&actions, 0, output);
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

  std::string program = keeper.string(), verb = workers::standby_verb, room(workers::order_path_bytes_max, '-');
  std::string told = "OVERNIGHT_CONTAINMENT=" + containment;
  char* argv[] = {program.data(), verb.data(), room.data(), nullptr};
  std::vector<char*> env;
  for (char** entry = environ; *entry != nullptr; ++entry) env.push_back(*entry);
  if (!containment.empty()) env.push_back(told.data());
  env.push_back(nullptr);
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, program.c_str(), &actions, &attributes, argv, env.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(ends[1]);
  if (failed != 0) {
    close(ends[0]);
    return budgets::unexpected(program + " could not be started: " + std::strerror(failed));
  }
  return StartedKeeper{pid, pidfd_open(pid), ends[0], identity_of(pid)};
}

std::string identity_of(pid_t pid) { return std::to_string(pid) + " " + start_time(pid); }

std::optional<int> reopen(const std::string& identity, pid_t& pid) {
  std::istringstream in(identity);
  std::string start;
  if (!(in >> pid >> start) || pid <= 1) return std::nullopt;
  const int fd = pidfd_open(pid);
  if (fd < 0) return std::nullopt;
  if (start_time(pid) != start || !is_keeper(pid)) {
    close(fd);
    return std::nullopt;
  }
  return fd;
}

void tidy_folder(const std::filesystem::path& keeper, const std::filesystem::path& folder) {
  std::string program = keeper.string(), verb = "--tidy", argument = folder.string();
  char* argv[] = {program.data(), verb.data(), argument.data(), nullptr};
  pid_t pid = -1;
  if (posix_spawn(&pid, program.c_str(), nullptr, nullptr, argv, environ) == 0) waitpid(pid, nullptr, 0);
}

int write_new(const std::filesystem::path& path, const std::string& text, std::string& error) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  std::size_t written = 0;
  while (fd >= 0 && written < text.size()) {
    const ssize_t n = write(fd, text.data() + written, text.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    written += static_cast<std::size_t>(n);
  }
  if (fd >= 0 && written == text.size()) return fd;
  error = path.string() + ": " + std::strerror(errno);
  if (fd >= 0) close(fd);
  return -1;
}

bool make_durable(int fd) {
  const bool durable = fdatasync(fd) == 0;
  close(fd);
  return durable;
}

std::string read_bounded(const std::filesystem::path& path, std::size_t most) {
  std::ifstream in(path, std::ios::binary);
  std::string text(most, '\0');
  in.read(text.data(), static_cast<std::streamsize>(most));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, in.gcount())));
  return text;
}

bool send_whole(int socket, const std::string& message) {
  return send(socket, message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT) ==
         static_cast<ssize_t>(message.size());
}

}  // namespace overnight::executors
