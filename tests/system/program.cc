#include "tests/system/program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

namespace overnight::system_tests {
namespace {

namespace fs = std::filesystem;
using Steady = std::chrono::steady_clock;

constexpr auto says_within = std::chrono::seconds(30);
constexpr auto ends_within = std::chrono::seconds(90);

std::string whole(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace

Folder::Folder() {
  std::string name = (fs::temp_directory_path() / "overnight-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
  path_ = name;
}

Folder::~Folder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string Folder::write(const std::string& name, const std::string& text) const {
  std::ofstream(path_ / name) << text;
  fs::permissions(path_ / name, fs::perms::owner_all);
  return (path_ / name).string();
}

std::string Folder::read(const std::string& name) const { return whole(path_ / name); }

Program::Program(const std::vector<std::string>& command, const fs::path& folder,
                 const std::map<std::string, std::string>& env) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  std::vector<std::string> words = command;
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    setsid();
    if (chdir(folder.c_str()) != 0) _exit(126);
    const int null = open("/dev/null", O_RDONLY);
    dup2(null, 0);
    dup2(ends[1], 1);
    dup2(ends[1], 2);
    unsetenv("OVERNIGHT_HOME");
    for (const auto& [name, value] : env) setenv(name.c_str(), value.c_str(), 1);
    execv(argv[0], argv.data());
    _exit(127);
  }
  close(ends[1]);
  pipe_ = ends[0];
  pidfd_ = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
}

Program::~Program() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(pipe_);
  close(pidfd_);
}

void Program::signal(int number) const { kill(pid_, number); }

void Program::take(int timeout_ms) {
  pollfd wait{pipe_, POLLIN, 0};
  if (poll(&wait, 1, timeout_ms) <= 0) return;
  char chunk[65536];
  const ssize_t n = read(pipe_, chunk, sizeof chunk);
  if (n > 0) output_.append(chunk, static_cast<std::size_t>(n));
}

bool Program::says(const std::string& text) {
  const auto until = Steady::now() + says_within;
  while (output_.find(text) == std::string::npos) {
    if (Steady::now() > until) return false;
    take(100);
    if (ended_within(std::chrono::milliseconds(0))) {
      take(0);
      return output_.find(text) != std::string::npos;
    }
  }
  return true;
}

bool Program::ended_within(std::chrono::milliseconds time) {
  const auto until = Steady::now() + time;
  while (true) {
    pollfd wait[2] = {{pidfd_, POLLIN, 0}, {pipe_, POLLIN, 0}};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Steady::now()).count();
    if (poll(wait, 2, static_cast<int>(std::max<std::int64_t>(0, left))) <= 0) return false;
    if (wait[0].revents != 0) return true;
    if ((wait[1].revents & POLLIN) != 0) take(0);
    if (left <= 0) return false;
  }
}

Finished Program::wait() {
  if (!ended_within(ends_within)) {
    ADD_FAILURE() << "still running after " << ends_within.count() << " s:\n" << output_;
    kill(pid_, SIGKILL);
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  for (std::size_t before = output_.size() + 1; before != output_.size();) {
    before = output_.size();
    take(0);
  }
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), output_};
}

// OVERNIGHT_BIN: where the programs lie when the tests run from a copy, as another user.
std::string overnight() {
  const char* bin = std::getenv("OVERNIGHT_BIN");
  return bin != nullptr ? std::string(bin) + "/overnight" : OVERNIGHT_PROGRAM;
}

Finished run(const Folder& folder, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), overnight());
  return Program(arguments, folder.path()).wait();
}

nlohmann::json run_json(const Folder& folder, std::vector<std::string> arguments) {
  arguments.push_back("--json");
  const Finished finished = run(folder, arguments);
  auto parsed = nlohmann::json::parse(finished.output, nullptr, false);
  EXPECT_FALSE(parsed.is_discarded()) << finished.output;
  return parsed;
}

std::vector<pid_t> alive_in(const Folder& folder) {
  std::vector<pid_t> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/proc", ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos || name == std::to_string(getpid())) continue;
    const std::string told = whole(entry.path() / "environ") + whole(entry.path() / "cmdline");
    if (told.find(folder.path().string()) != std::string::npos) found.push_back(static_cast<pid_t>(std::stol(name)));
  }
  return found;
}

}  // namespace overnight::system_tests
