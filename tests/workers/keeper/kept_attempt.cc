#include "tests/workers/keeper/kept_attempt.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "workers/keeper/clock.h"
#include "workers/keeper/descendants.h"
#include "workers/keeper/folders.h"
#include "workers/protocol/standby.h"

namespace overnight::workers {
namespace {

namespace fs = std::filesystem;
using Steady = std::chrono::steady_clock;

// How long an attempt may take before the test gives up: the long forms read ten gigabytes.
const auto patience = std::chrono::seconds(std::getenv("OVERNIGHT_TORTURE") != nullptr ? 900 : 60);
constexpr std::int64_t gone_within_ms = 5000;  // after the keeper's end

std::string whole(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

int living() {
  int count = 0;
  for (const auto& process : descendants_of(::getpid())) count += process.state != 'Z';
  return count;
}

}  // namespace

Folder::Folder(const fs::path& where) {
  std::string name = (where / "overnight-keeper-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
  path_ = name;
}

Folder::~Folder() { remove_tree(AT_FDCWD, path_.c_str()); }

std::string Folder::write(const std::string& name, const std::string& text) const {
  std::ofstream(path_ / name) << text;
  fs::permissions(path_ / name, fs::perms::owner_all);
  return (path_ / name).string();
}

std::string Folder::read(const std::string& name) const { return whole(path_ / name); }

std::string worker_program() {
  const char* bin = std::getenv("OVERNIGHT_BIN");
  return bin != nullptr ? std::string(bin) + "/overnight-worker" : OVERNIGHT_WORKER;
}

std::string mechanism_in_force(const std::string& forced) {
  ::setenv("OVERNIGHT_KILL_MECHANISM", forced.c_str(), 1);
  FILE* pipe = ::popen((worker_program() + " --probe").c_str(), "r");
  ::unsetenv("OVERNIGHT_KILL_MECHANISM");
  char text[4096] = {};
  const std::size_t size = pipe ? fread(text, 1, sizeof text - 1, pipe) : 0;
  if (pipe) ::pclose(pipe);
  const std::string told(text, size);
  const std::string key = "\"kill_mechanism\":\"";
  const auto at = told.find(key);
  return at == std::string::npos ? "" : told.substr(at + key.size(), told.find('"', at + key.size()) - at - key.size());
}

PhaseOrder shell_phase(Phase phase, const std::string& script) {
  PhaseOrder order;
  order.phase = phase;
  order.command = {"/bin/sh", "-c", script};
  order.timeout_ms = 50'000;
  order.grace_ms = 1000;
  order.metrics = {{"loss", "^loss: (.*)"}};
  return order;
}

KeptAttempt::KeptAttempt(const std::string& train_script, const std::string& evaluate_script) {
  const fs::path home = place_.path() / "home";
  order.home = "h";
  order.run = "r";
  order.attempt = 7;
  order.nonce = "nonce";
  order.directory = (home / "runs" / "r" / "attempts" / "7").string();
  order.enclosure = home.string();
  order.experiment_json = "{}";
  order.objective = "loss";
  order.limits.processes = 64;
  order.limits.log_bytes = 1 << 20;
  order.phases.push_back(shell_phase(Phase::train, train_script));
  if (!evaluate_script.empty()) order.phases.push_back(shell_phase(Phase::evaluate, evaluate_script));
  fs::create_directories(order.directory);
}

KeptAttempt::~KeptAttempt() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  kill_descendants(::getpid(), monotonic_ms() + gone_within_ms);
}

std::string KeptAttempt::log(const std::string& name) const { return whole(folder() / (name + ".log")); }

void KeptAttempt::start() {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const std::string path = order.directory + "/order.json";
  std::ofstream(path) << to_json(order);
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const Descriptor theirs(ends[1]);
  channel_.reset(ends[0]);
  std::vector<std::string> env{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/nonexistent"};
  if (!mechanism.empty()) env.push_back("OVERNIGHT_KILL_MECHANISM=" + mechanism);
  env.insert(env.end(), environment.begin(), environment.end());
  std::vector<char*> pointers;
  for (auto& entry : env) pointers.push_back(entry.data());
  pointers.push_back(nullptr);
  const std::string program = worker_program(), room(order_path_bytes_max, '-');
  started_ms_ = monotonic_ms();
  pid_ = ::fork();
  if (pid_ == 0) {
    ::dup2(theirs.get(), 3);
    if (theirs.get() == 3) ::fcntl(3, F_SETFD, 0);
    ::execle(program.c_str(), program.c_str(), standby_verb, room.c_str(), nullptr, pointers.data());
    ::_exit(127);
  }
  pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  (void)!::send(channel_.get(), path.c_str(), path.size() + 1, MSG_NOSIGNAL);
}

void KeptAttempt::grant(std::int64_t lease_ms) {
  const std::string line = to_json_line({order.attempt, order.nonce, ++sequence_, GrantLease{lease_ms}});
  (void)!::send(channel_.get(), line.data(), line.size(), MSG_NOSIGNAL);
}

void KeptAttempt::stop(StopLevel level, const std::string& reason) {
  const std::string line = to_json_line({order.attempt, order.nonce, ++sequence_, Stop{level, reason}});
  (void)!::send(channel_.get(), line.data(), line.size(), MSG_NOSIGNAL);
}

void KeptAttempt::close_channel() { channel_.reset(); }

// False when there is nothing more to come.
bool KeptAttempt::read_some(Steady::time_point until) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Steady::now()).count();
  pollfd ready{channel_.get(), POLLIN, 0};
  if (left <= 0 || !channel_ || ::poll(&ready, 1, static_cast<int>(left)) <= 0) return false;
  char bytes[65536];
  const ssize_t size = ::recv(channel_.get(), bytes, sizeof bytes, 0);
  if (size <= 0) return false;
  open_.append(bytes, static_cast<std::size_t>(size));
  for (std::size_t end; (end = open_.find('\n')) != std::string::npos; open_.erase(0, end + 1)) {
    const auto message = message_from_json(std::string_view(open_).substr(0, end));
    EXPECT_TRUE(message) << open_.substr(0, end);
    if (message) heard_.push_back(*message);
  }
  return true;
}

bool KeptAttempt::hears(const std::function<bool(const Message&)>& fits) {
  const auto until = Steady::now() + patience;
  while (true) {
    for (; looked_at_ < heard_.size(); ++looked_at_) {
      if (fits(heard_[looked_at_])) return true;
    }
    if (!read_some(until)) return false;
  }
}

bool KeptAttempt::hears_metric(const std::string& name) {
  return hears([&](const Message& message) {
    const auto* seen = std::get_if<MetricSeen>(&message.body);
    return seen != nullptr && seen->name == name;
  });
}

Kept KeptAttempt::finish() {
  const auto until = Steady::now() + patience;
  while (channel_ && read_some(until)) {
  }
  Kept kept;
  pollfd ended{pidfd_.get(), POLLIN, 0};
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Steady::now()).count();
  if (::poll(&ended, 1, static_cast<int>(std::max<std::int64_t>(1, left))) <= 0) {
    ADD_FAILURE() << "the keeper has not ended";
    return kept;
  }
  ::waitpid(pid_, &kept.wait_status, 0);
  pid_ = -1;
  const std::int64_t ended_ms = monotonic_ms();
  kept.took_ms = ended_ms - started_ms_;
  std::int64_t cpu = 0;
  std::int64_t rss = 0;
  for (kept.left = living(); kept.left > 0 && monotonic_ms() - ended_ms < gone_within_ms; kept.left = living()) {
    pollfd none{-1, 0, 0};
    ::poll(&none, 1, 2);  // the kernel is killing; there is nothing to wait on but the processes themselves
    reap_children(cpu, rss);
  }
  kept.gone_in_ms = monotonic_ms() - ended_ms;
  EXPECT_EQ(kept.left, 0) << "processes outlived their keeper";
  kill_descendants(::getpid(), monotonic_ms() + gone_within_ms);
  const auto receipt = receipt_from_json(whole(folder() / "receipt.json"));
  if (receipt) kept.receipt = *receipt;
  return kept;
}

Kept KeptAttempt::run() {
  start();
  grant(std::chrono::duration_cast<std::chrono::milliseconds>(patience).count());
  Kept kept = finish();
  EXPECT_TRUE(kept.receipt) << "no receipt; the keeper said: " << whole(folder() / "keeper.log");
  if (!kept.receipt) kept.receipt = Receipt{};
  return kept;
}

}  // namespace overnight::workers
