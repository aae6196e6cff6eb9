#include "orchestrator/proposers/child_program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <sstream>

#include "orchestrator/proposers/warden.h"

namespace overnight::proposers {
namespace {

using budgets::Result;
using budgets::unexpected;
using Steady = std::chrono::steady_clock;

constexpr int warden_patience_ms = 5000;  // for all to be gone after a SIGKILL

struct Pipe {
  int read = -1, write = -1;
  ~Pipe() { close_both(); }
  bool make() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    read = ends[0], write = ends[1];
    return true;
  }
  int take_read() { return std::exchange(read, -1); }
  int take_write() { return std::exchange(write, -1); }
  void close_both() {
    if (read >= 0) close(std::exchange(read, -1));
    if (write >= 0) close(std::exchange(write, -1));
  }
};

// A write into a pipe whose reader is gone must be an error here, not the end of this process.
class NoBrokenPipe {
 public:
  NoBrokenPipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~NoBrokenPipe() {
    const timespec now{};
    while (sigtimedwait(&pipe_, nullptr, &now) == SIGPIPE) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoBrokenPipe(const NoBrokenPipe&) = delete;
  NoBrokenPipe& operator=(const NoBrokenPipe&) = delete;

 private:
  sigset_t pipe_{}, before_{};
};

// The program by its path; empty if it is not there.
std::string found(const ProgramSpec& spec) {
  const std::string& name = spec.command.front();
  if (name.find('/') != std::string::npos) return access(name.c_str(), X_OK) == 0 ? name : "";
  const auto path = spec.env.find("PATH");
  std::istringstream folders(path == spec.env.end() ? "/usr/local/bin:/usr/bin:/bin" : path->second);
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::string file = folder + "/" + name;
    struct stat info {};
    if (!folder.empty() && access(file.c_str(), X_OK) == 0 && stat(file.c_str(), &info) == 0 && S_ISREG(info.st_mode))
      return file;
  }
  return "";
}

// The log, with how much it may still grow; an old one that is full makes room.
int open_log(const ProgramSpec& spec, long& left) {
  if (spec.log.empty()) return -1;
  struct stat info {};
  if (stat(spec.log.c_str(), &info) == 0 && info.st_size >= spec.log_bytes_max)
    rename(spec.log.c_str(), (spec.log + ".1").c_str());
  const int log = open(spec.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  left = log >= 0 && fstat(log, &info) == 0 ? spec.log_bytes_max - info.st_size : 0;
  return log;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (std::string& text : texts) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

int left_ms(Steady::time_point until) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Steady::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000));
}

}  // namespace

Result<std::unique_ptr<ChildProgram>, std::string> ChildProgram::start(const ProgramSpec& spec) {
  const std::string path = spec.command.empty() ? "" : found(spec);
  if (path.empty())
    return unexpected((spec.command.empty() ? "no program" : spec.command.front()) +
                      " is not found or cannot be executed");
  Pipe in, out, err, control;
  if (!in.make() || !out.make() || !err.make() || !control.make())
    return unexpected(std::string("no pipe: ") + std::strerror(errno));
  std::vector<std::string> words = spec.command, env;
  for (const auto& [name, value] : spec.env) env.push_back(name + "=" + value);
  const std::vector<char*> argv = pointers(words), envp = pointers(env);
  WardenOrder order;
  order.log = open_log(spec, order.log_left);
  order.control = control.read, order.errors = err.read;
  order.in = in.read, order.out = out.write, order.err = err.write;
  order.folder = spec.folder.empty() ? "/" : spec.folder.c_str();
  order.path = path.c_str(), order.argv = argv.data(), order.env = envp.data();
  const pid_t warden = fork();
  if (warden == 0) be_warden(order);
  if (order.log >= 0) close(order.log);
  if (warden < 0) return unexpected(std::string("no process: ") + std::strerror(errno));
  std::unique_ptr<ChildProgram> child(new ChildProgram);
  child->warden_ = warden;
  child->warden_fd_ = static_cast<int>(syscall(SYS_pidfd_open, warden, 0));
  child->to_ = in.take_write(), child->from_ = out.take_read(), child->control_ = control.take_write();
  child->line_bytes_max_ = spec.line_bytes_max;
  fcntl(child->to_, F_SETFL, O_NONBLOCK);
  fcntl(child->from_, F_SETFL, O_NONBLOCK);
  return child;
}

ChildProgram::~ChildProgram() {
  close(control_);
  close(to_);
  close(from_);
  pollfd gone{warden_fd_, POLLIN, 0};
  if (warden_ > 0 && poll(&gone, 1, warden_patience_ms) <= 0) kill(warden_, SIGKILL);
  if (warden_ > 0) waitpid(warden_, nullptr, 0);
  close(warden_fd_);
}

bool ChildProgram::alive() const {
  pollfd gone{warden_fd_, POLLIN, 0};
  return warden_ > 0 && poll(&gone, 1, 0) == 0;
}

bool ChildProgram::take_line(std::string& line) {
  const std::size_t end = unread_.find('\n');
  if (end == std::string::npos) return false;
  line = unread_.substr(0, end);
  unread_.erase(0, end + 1);
  return true;
}

// Waits for the warden, which ends when the program did.
std::string ChildProgram::how_it_ended() {
  pollfd gone{warden_fd_, POLLIN, 0};
  int status = 0;
  if (poll(&gone, 1, warden_patience_ms) <= 0 || waitpid(warden_, &status, 0) != warden_) return "it closed its stdout";
  warden_ = -1;
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (code == 127) return "it could not be started, or ended with status 127";
  return code > 128 ? "it was killed by signal " + std::to_string(code - 128)
                    : "it ended with status " + std::to_string(code);
}

Result<std::string, std::string> ChildProgram::exchange(const std::string& text, budgets::Millis within, int wake) {
  const NoBrokenPipe quiet;
  const Steady::time_point until = Steady::now() + std::chrono::milliseconds(within.count());
  std::size_t written = 0;
  std::string line;
  while (true) {
    if (take_line(line)) {
      if (written == text.size()) return line;
      return unexpected(std::string("it wrote a line before it was asked"));
    }
    if (unread_.size() > line_bytes_max_)
      return unexpected("it wrote a line longer than " + std::to_string(line_bytes_max_) + " bytes");
    const short writing = written < text.size() ? POLLOUT : 0;
    pollfd wait[3] = {{wake, POLLIN, 0}, {from_, POLLIN, 0}, {writing != 0 ? to_ : -1, writing, 0}};
    const int ready = poll(wait, 3, left_ms(until));
    if (ready == 0) return unexpected("it did not answer within " + std::to_string(within.count() / 1000) + " s");
    if (ready < 0 && errno != EINTR) return unexpected(std::string("it cannot be read: ") + std::strerror(errno));
    if (wait[0].revents != 0) return unexpected(std::string("it was cancelled"));
    if (wait[1].revents != 0) {
      char chunk[65536];
      const ssize_t n = read(from_, chunk, sizeof chunk);
      if (n > 0) unread_.append(chunk, static_cast<std::size_t>(n));
      if (n == 0) return unexpected(how_it_ended());
    }
    if (wait[2].revents != 0) {
      const ssize_t n = write(to_, text.data() + written, text.size() - written);
      if (n > 0) written += static_cast<std::size_t>(n);
      if (n < 0 && errno == EPIPE) written = text.size();  // it reads no more; what it has to say may still come
    }
  }
}

}  // namespace overnight::proposers
