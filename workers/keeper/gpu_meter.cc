#include "workers/keeper/gpu_meter.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "workers/keeper/clock.h"

namespace overnight::workers {
namespace {

constexpr const char* program_name = "/overnight-gpu-meter";
constexpr std::int64_t end_wait_ms = 200;  // after SIGKILL; longer only where the driver holds it in the kernel

// In a session of its own: signals to groups of tasks do not meet it. 0: it cannot be started.
pid_t start(const std::string& program, std::vector<std::string> words, std::vector<std::string> env, int input) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  if (::posix_spawn_file_actions_init(&actions) != 0 || ::posix_spawnattr_init(&attributes) != 0) return 0;
  ::posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<char*> argv, environment;
  for (std::string& word : words) argv.push_back(word.data());
  for (std::string& entry : env) environment.push_back(entry.data());
  argv.push_back(nullptr);
  environment.push_back(nullptr);
  pid_t pid = 0;
  if (::posix_spawn(&pid, program.c_str(), &actions, &attributes, argv.data(), environment.data()) != 0) pid = 0;
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  return pid;
}

}  // namespace

GpuMeter::GpuMeter(const std::vector<std::string>& gpus, const std::string& program_folder,
                   const InheritedEnvironment& inherited) {
  for (const std::string& uuid : gpus) told_.emplace_back().uuid = uuid;
  int ends[2];
  if (gpus.empty() || ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return;
  socket_.reset(ends[0]);
  const Descriptor theirs(ends[1]);
  const std::string program = program_folder + program_name;
  std::vector<std::string> words{program, std::to_string(gpu_sample_every_ms)}, env;
  words.insert(words.end(), gpus.begin(), gpus.end());
  if (const auto libraries = inherited.find("LD_LIBRARY_PATH")) env.push_back("LD_LIBRARY_PATH=" + *libraries);
  pid_ = start(program, std::move(words), std::move(env), theirs.get());
  if (pid_ <= 0) return;
  ended_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (ended_) return;
  ::kill(pid_, SIGKILL);  // no descriptor is left for it
  ::waitpid(std::exchange(pid_, 0), nullptr, 0);
}

GpuMeter::~GpuMeter() { end(); }

pid_t GpuMeter::pid() const {
  pollfd gone{ended_ ? ended_.get() : -1, POLLIN, 0};
  return pid_ > 0 && ::poll(&gone, 1, 0) == 0 ? pid_ : 0;
}

bool GpuMeter::take_packet() {
  static char bytes[gpu_uses_bytes_max];  // one thread, one reader at a time
  const ssize_t size = socket_ ? ::recv(socket_.get(), bytes, sizeof bytes, MSG_DONTWAIT) : 0;
  if (size <= 0) return false;
  auto uses = gpu_uses_from_json({bytes, static_cast<std::size_t>(size)});
  bool ours = uses && uses->size() == told_.size();
  for (std::size_t i = 0; ours && i < told_.size(); ++i) ours = (*uses)[i].uuid == told_[i].uuid;
  if (ours) told_ = std::move(*uses);
  return true;
}

void GpuMeter::listen() {
  while (take_packet()) {
  }
}

void GpuMeter::ask() {
  if (!socket_ || asked_) return;
  listen();  // what comes from now on answers
  asked_ = ::send(socket_.get(), "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}

std::vector<GpuUse> GpuMeter::finish() {
  ask();
  const std::int64_t until = monotonic_ms() + last_sample_wait_ms;
  for (std::int64_t left = last_sample_wait_ms; asked_ && left > 0; left = until - monotonic_ms()) {
    pollfd answer{socket_.get(), POLLIN, 0};
    if (::poll(&answer, 1, static_cast<int>(left)) < 0 && errno == EINTR) continue;
    break;
  }
  listen();
  end();
  return told_;
}

void GpuMeter::end() {
  if (pid_ <= 0) return;
  pid_ = 0;
  // By its pidfd: whoever killed the tree may have reaped it, and the number may be somebody else's.
  ::syscall(SYS_pidfd_send_signal, ended_.get(), SIGKILL, nullptr, 0);
  pollfd gone{ended_.get(), POLLIN, 0};
  if (::poll(&gone, 1, end_wait_ms) < 0 && errno == EINTR) ::poll(&gone, 1, end_wait_ms);
  siginfo_t how{};
  ::waitid(P_PIDFD, static_cast<id_t>(ended_.get()), &how, WEXITED | WNOHANG);
}

}  // namespace overnight::workers
