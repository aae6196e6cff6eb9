// On a terminal of its own: the live view, its resizing, Ctrl-C, and that the terminal is left as it was.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <fstream>

#include "tests/system/running.h"

namespace overnight::system_tests {
namespace {

using Steady = std::chrono::steady_clock;

// A program behind a pseudo-terminal, as its session's leader.
class OnTerminal {
 public:
  OnTerminal(std::vector<std::string> command, const std::filesystem::path& folder, unsigned short columns,
             unsigned short rows) {
    master_ = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    EXPECT_TRUE(grantpt(master_) == 0 && unlockpt(master_) == 0);
    slave_ = open(ptsname(master_), O_RDWR | O_NOCTTY | O_CLOEXEC);  // kept open: the modes can be looked at to the end
    resize(columns, rows);
    tcgetattr(slave_, &before_);
    pid_ = fork();
    if (pid_ == 0) {
      setsid();
      ioctl(slave_, TIOCSCTTY, 0);
      for (const int fd : {0, 1, 2}) dup2(slave_, fd);
      if (chdir(folder.c_str()) != 0) _exit(126);
      unsetenv("OVERNIGHT_HOME");
      unsetenv("NO_COLOR");
      setenv("TERM", "xterm-256color", 1);
      setenv("LC_ALL", "C.UTF-8", 1);
      std::vector<char*> argv;
      for (std::string& word : command) argv.push_back(word.data());
      argv.push_back(nullptr);
      execv(argv[0], argv.data());
      _exit(127);
    }
  }
  ~OnTerminal() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    close(slave_);
    if (master_ >= 0) close(master_);
  }
  OnTerminal(const OnTerminal&) = delete;
  OnTerminal& operator=(const OnTerminal&) = delete;

  void resize(unsigned short columns, unsigned short rows) const {
    const winsize size{rows, columns, 0, 0};
    ioctl(master_, TIOCSWINSZ, &size);
  }
  void type(const std::string& keys) const { EXPECT_EQ(write(master_, keys.data(), keys.size()), std::ssize(keys)); }
  // True when what came since the last call holds `text`.
  bool shows(const std::string& text) {
    const auto until = Steady::now() + std::chrono::seconds(30);
    while (Steady::now() < until) {
      const auto found = seen_.find(text);
      if (found != std::string::npos) {
        seen_.erase(0, found + text.size());
        return true;
      }
      take();
    }
    return false;
  }
  int wait() {
    const auto until = Steady::now() + std::chrono::seconds(60);
    int status = 0;
    while (waitpid(pid_, &status, WNOHANG) == 0) {
      if (Steady::now() > until) {
        ADD_FAILURE() << "still running: " << seen_;
        return -1;
      }
      take();
    }
    pid_ = -1;
    while (take()) continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  bool modes_are_as_before() const {
    termios now{};
    tcgetattr(slave_, &now);
    return now.c_lflag == before_.c_lflag && now.c_iflag == before_.c_iflag && now.c_oflag == before_.c_oflag;
  }
  const std::string& all() const { return all_; }

 private:
  bool take() {
    pollfd wait{master_, POLLIN, 0};
    if (poll(&wait, 1, 50) <= 0 || (wait.revents & POLLIN) == 0) return false;
    char chunk[65536];
    const ssize_t n = read(master_, chunk, sizeof chunk);
    if (n <= 0) return false;
    seen_.append(chunk, static_cast<std::size_t>(n));
    all_.append(chunk, static_cast<std::size_t>(n));
    return true;
  }

  int master_ = -1, slave_ = -1;
  pid_t pid_ = -1;
  termios before_{};
  std::string seen_, all_;
};

TEST(Terminal, ShowsTheRunFollowsItsSizeAndDrainsOnCtrlC) {
  const Folder folder;
  const auto study = write_study(folder, {.script = endless});
  OnTerminal run({overnight(), "run", study}, folder.path(), 80, 24);
  ASSERT_TRUE(run.shows("baseline")) << run.all();
  ASSERT_TRUE(run.shows("Ctrl-C: let what runs end"));
  ASSERT_TRUE(run.shows("train  ")) << run.all();
  run.resize(60, 15);
  ASSERT_TRUE(run.shows("\x1b[2J")) << "a new size is drawn from the top";
  ASSERT_TRUE(run.shows("slot 1"));
  run.type("\x03");
  ASSERT_TRUE(run.shows("draining")) << run.all();
  run.type("\x03");
  EXPECT_EQ(run.wait(), 3);
  EXPECT_TRUE(run.modes_are_as_before());
  for (const char* mode : {"\x1b[?1049h", "\x1b[?25l", "\x1b[?1000h"})
    EXPECT_EQ(run.all().find(mode), std::string::npos) << "nothing that would have to be undone after kill -9";
  EXPECT_TRUE(run.all().ends_with("\n"));
  EXPECT_TRUE(alive_in(folder).empty());
}

TEST(Terminal, StoppedWithCtrlSStopsNothingBehindIt) {
  const Folder folder;
  const auto study = write_study(folder, {.script = endless});
  OnTerminal program({overnight(), "run", study}, folder.path(), 80, 24);
  ASSERT_TRUE(program.shows("Ctrl-C: let what runs end"));
  ASSERT_TRUE(program.shows("train  "));
  program.type("\x13");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(run(folder, {"watch", "--once"}).exit_code, 0);
  const auto halted = run(folder, {"halt"});
  EXPECT_EQ(halted.exit_code, 0) << halted.output;
  EXPECT_EQ(halted.output.find("offline"), std::string::npos) << halted.output;
  EXPECT_TRUE(alive_in(folder).size() <= 1);
  program.type("\x11");
  EXPECT_EQ(program.wait(), 3);
}

TEST(Terminal, WatchAttachesAndLeavesWithoutStoppingAnything) {
  const Folder folder;
  const auto program = start_endless(folder);
  OnTerminal watch({overnight(), "watch"}, folder.path(), 120, 40);
  ASSERT_TRUE(watch.shows("Ctrl-C: leave; the run goes on"));
  ASSERT_TRUE(watch.shows("train  "));
  watch.type("\x03");
  EXPECT_EQ(watch.wait(), 0);
  EXPECT_TRUE(watch.modes_are_as_before());
  EXPECT_FALSE(program->ended_within(std::chrono::milliseconds(0)));
}

}  // namespace
}  // namespace overnight::system_tests
