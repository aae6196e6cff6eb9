// The executor with the real keeper: what is launched comes back, once, and only when nothing of it is left.
#include "orchestrator/executors/local_executor.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <sstream>

#include "orchestrator/executors/keeper_process.h"
#include "orchestrator/executors/task_order.h"
#include "tests/workers/keeper/kept_attempt.h"
#include "workers/keeper/descendants.h"
#include "workers/protocol/standby.h"

namespace overnight::executors {
namespace {

namespace fs = std::filesystem;
using core::AttemptGone;
using core::AttemptId;
using core::Cause;

class StillClock final : public ports::Clock {
 public:
  budgets::Moment now() const override { return budgets::Moment::at(1000); }
  budgets::WallTime wall() const override { return budgets::WallTime::at(1000); }
};

class LocalExecutorTest : public testing::Test {
 protected:
  LocalExecutorTest() {
    study_.objective.metric = "loss";
    study_.task.train.metrics = {{"loss", "^loss: (.*)"}};
    study_.attempt.free_floor = {};
    settings_.home = folder_.path() / "home";
    settings_.home_uuid = "home";
    settings_.keeper = workers::worker_program();
    settings_.gpu_lock_places = {folder_.path() / "locks"};
    settings_.gpu_look_every = std::chrono::milliseconds(20);
  }

  void begin(const std::string& script) {
    study_.task.train.command = {"/bin/sh", "-c", script};
    executor_.reset();
    gone_.clear();
    executor_ = std::make_unique<LocalExecutor>(
        io_, clock_, settings_, [this](core::Event event) { take(std::move(event)); },
        [this](const LiveMetric& metric) { metrics_.push_back(metric); });
    slots_ = executor_->capacity(study_);
  }

  void launch(std::int64_t attempt = 1, std::size_t slot = 0) {
    core::Launch launch{AttemptId{attempt}, core::TrialId{1}, core::ExperimentId{1}, core::RunId{"r"}};
    launch.slot = slots_.at(slot).slot;
    launch.params = {{"x", 0.5}};
    launch.wall = core::seconds(50);
    executor_->launch(launch, study_);
  }

  AttemptFolder folder_of(std::int64_t attempt = 1) const {
    return attempt_folder(settings_.home, core::RunId{"r"}, AttemptId{attempt});
  }

  // Runs the loop until `holds`; fails after a minute.
  template <typename Condition>
  void until(Condition holds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!holds() && std::chrono::steady_clock::now() < end) {
      io_.restart();
      io_.run_for(std::chrono::milliseconds(20));
    }
    ASSERT_TRUE(holds());
  }
  AttemptGone gone(std::int64_t attempt = 1) {
    until([&] { return gone_.contains(attempt); });
    return gone_.contains(attempt) ? gone_.at(attempt) : AttemptGone{};
  }
  void until_metric() {
    until([&] { return !metrics_.empty(); });
  }

  // The executor's own broom, and keepers that wait for an order, apart.
  static std::size_t processes_below(bool standby_too = false) {
    std::size_t count = 0;
    for (const auto& process : workers::descendants_of(::getpid())) {
      std::ifstream in("/proc/" + std::to_string(process.pid) + "/cmdline", std::ios::binary);
      std::ostringstream words;  // takes the buffer as a whole: a process that ends meanwhile throws otherwise
      words << in.rdbuf();
      count += process.state != 'Z' && words.str().find("--tidy") == std::string::npos &&
               (standby_too || words.str().find(workers::standby_verb) == std::string::npos);
    }
    return count;
  }

  workers::Folder folder_;
  boost::asio::io_context io_;
  StillClock clock_;
  core::Study study_;
  LocalSettings settings_;
  std::unique_ptr<LocalExecutor> executor_;
  std::vector<core::SlotFound> slots_;
  std::map<std::int64_t, AttemptGone> gone_;
  std::size_t below_when_gone_ = 0;
  std::vector<core::SlotChecked> checked_;
  std::vector<LiveMetric> metrics_;
  int started_ = 0;

 private:
  void take(core::Event event) {
    if (auto* ended = std::get_if<AttemptGone>(&event)) {
      below_when_gone_ = processes_below();
      EXPECT_TRUE(gone_.emplace(core::number(ended->attempt), *ended).second) << "told twice";
    }
    if (auto* slot = std::get_if<core::SlotChecked>(&event)) checked_.push_back(*slot);
    started_ += std::holds_alternative<core::AttemptStarted>(event);
  }
};

TEST_F(LocalExecutorTest, WhatIsLaunchedIsToldOnceWithItsScore) {
  begin("echo loss: 0.25; (setsid sleep 1000 &)");
  launch();
  launch();
  const AttemptGone told = gone();
  EXPECT_EQ(told.cause, Cause::completed) << told.detail;
  EXPECT_EQ(told.score, 0.25);
  EXPECT_EQ(below_when_gone_, 0u);
  EXPECT_EQ(started_, 1);
  launch();
  executor_->observe({AttemptId{1}});
  EXPECT_EQ(gone_.size(), 1u) << "what is settled stays settled";
}

// The pid that a keeper's folder names.
std::string keeper_of(const AttemptFolder& folder) {
  std::string pid;
  std::ifstream(folder.keeper_pid()) >> pid;
  return pid;
}

TEST_F(LocalExecutorTest, TheNextAttemptGetsAKeeperThatStoodByAndIsFoundByItsOrder) {
  begin("echo loss: 1; sleep 1000");
  launch();
  until_metric();
  std::set<std::string> standing_by;
  for (const auto& process : workers::descendants_of(::getpid())) standing_by.insert(std::to_string(process.pid));
  launch(2, slots_.size() - 1);
  const std::string pid = keeper_of(folder_of(2));
  EXPECT_TRUE(standing_by.contains(pid)) << pid;
  until([&] { return metrics_.size() == 2; });
  std::ifstream in("/proc/" + pid + "/cmdline", std::ios::binary);
  std::string program, order;
  std::getline(in, program, '\0');
  std::getline(in, order, '\0');
  EXPECT_EQ(order, folder_of(2).order().string());
  EXPECT_TRUE(fs::exists(folder_of(2).keeper_log()));
}

TEST_F(LocalExecutorTest, AKeeperThatDiedWhileItStoodByIsReplaced) {
  begin("echo loss: 1; sleep 1000");
  launch();
  until_metric();
  for (const auto& process : workers::descendants_of(::getpid())) {
    std::ifstream in("/proc/" + std::to_string(process.pid) + "/cmdline", std::ios::binary);
    std::ostringstream words;
    words << in.rdbuf();
    if (words.str().find(workers::standby_verb) == std::string::npos) continue;
    ::kill(process.pid, SIGKILL);
    siginfo_t ended;
    ::waitid(P_PID, static_cast<id_t>(process.pid), &ended, WEXITED | WNOWAIT);
  }
  launch(2, slots_.size() - 1);
  until([&] { return metrics_.size() == 2; });
}

// An offline halt, or the next life, must find a keeper that was given an order and has not read it yet.
TEST_F(LocalExecutorTest, AKeeperThatHasNotReadItsOrderYetIsFoundByItsIdentity) {
  const auto standing = start_keeper(settings_.keeper, "");
  ASSERT_TRUE(standing) << standing.error();
  pid_t pid = -1;
  const auto found = reopen(standing->identity, pid);
  ASSERT_TRUE(found);
  EXPECT_EQ(pid, standing->pid);
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  for (const int fd : {*found, standing->pidfd, standing->channel}) ::close(fd);
}

TEST_F(LocalExecutorTest, AStopThatComesBeforeTheKeeperHasItsOrderIsObeyed) {
  begin("echo loss: 1; sleep 1000");
  launch();
  executor_->stop(AttemptId{1}, core::StopLevel::kill, "halt");
  EXPECT_EQ(gone().cause, Cause::stopped);
  EXPECT_EQ(gone().detail, "halt");
}

TEST_F(LocalExecutorTest, ASecretReachesItsPhaseAndIsNowhereOnDisk) {
  ::setenv("OVERNIGHT_TEST_TOKEN", "sesame", 1);
  study_.task.secrets = {{"OVERNIGHT_TEST_TOKEN", "train"}};
  begin("test ${#OVERNIGHT_TEST_TOKEN} = 6 && echo loss: 1");
  launch();
  EXPECT_EQ(gone().cause, Cause::completed);
  ::unsetenv("OVERNIGHT_TEST_TOKEN");
  std::ifstream order(folder_of().order());
  const std::string text((std::istreambuf_iterator<char>(order)), std::istreambuf_iterator<char>());
  EXPECT_NE(text.find("OVERNIGHT_TEST_TOKEN"), std::string::npos);
  EXPECT_EQ(text.find("sesame"), std::string::npos);
}

TEST_F(LocalExecutorTest, AStopIsObeyedAndToldAsSuch) {
  begin("trap '' TERM; echo loss: 1; sleep 1000");
  launch();
  until_metric();
  executor_->stop(AttemptId{1}, core::StopLevel::kill, "halt");
  EXPECT_EQ(gone().cause, Cause::stopped);
  EXPECT_EQ(gone().detail, "halt");
  EXPECT_EQ(below_when_gone_, 0u);
}

TEST_F(LocalExecutorTest, AKeeperThatIsKilledIsToldWhenItsTreeIsGone) {
  begin("trap '' TERM; (env -i setsid sleep 1000 &)\necho loss: 1; sleep 1000");
  launch();
  until_metric();
  pid_t keeper = 0;
  std::ifstream(folder_of().keeper_pid()) >> keeper;
  ASSERT_GT(keeper, 1);
  ::kill(keeper, SIGKILL);
  const AttemptGone told = gone();
  EXPECT_EQ(told.cause, Cause::infrastructure);
  EXPECT_NE(told.detail.find("its keeper was killed by signal 9"), std::string::npos) << told.detail;
  EXPECT_FALSE(told.took) << "nobody knows what it took";
  EXPECT_EQ(below_when_gone_, 0u);
}

TEST_F(LocalExecutorTest, AReceiptThatATaskWroteAndItsKeeperDidNotIsWorthNothing) {
  ::setenv("OVERNIGHT_KILL_MECHANISM", "subreaper", 1);
  begin(
      "cd $OVERNIGHT_ARTIFACTS/..; nonce=$(sed -n 's/.*\"nonce\":\"\\([^\"]*\\)\".*/\\1/p' order.json)\n"
      "printf '{\"run\":\"r\",\"attempt\":1,\"nonce\":\"%s\",\"cause\":\"completed\"}' $nonce > receipt.json\n"
      "read -r _ _ _ keeper _ < /proc/$PPID/stat; kill -9 $keeper; sleep 1000");
  launch();
  const AttemptGone told = gone();
  ::unsetenv("OVERNIGHT_KILL_MECHANISM");
  EXPECT_EQ(told.cause, Cause::infrastructure);
  EXPECT_FALSE(told.score);
  EXPECT_EQ(below_when_gone_, 0u);
}

TEST_F(LocalExecutorTest, AKeeperThatATaskStoppedIsSetGoingAgainByTheLease) {
  ::setenv("OVERNIGHT_KILL_MECHANISM", "subreaper", 1);
  settings_.lease_ms = 2000;
  study_.task.train.timeout = core::Millis::of(1000);
  begin("read -r _ _ _ keeper _ < /proc/$PPID/stat; kill -STOP $keeper; sleep 1000");
  launch();
  const AttemptGone told = gone();
  ::unsetenv("OVERNIGHT_KILL_MECHANISM");
  EXPECT_TRUE(told.cause == Cause::timeout || told.cause == Cause::lease_lost) << told.detail;
}

TEST_F(LocalExecutorTest, WhatATaskLeavesBesideItsRecordsIsRemoved) {
  study_.attempt.disk = {};  // else it ends for its depth
  study_.attempt.files = 0;
  begin(
      "mkdir -p a/b; echo x > a/b/c; chmod 000 a/b; mkdir ../junk; echo x > ../junk/x; mkdir $HOME/d; echo loss: 1\n"
      "python3 -c '\nimport os\nfor i in range(2000):\n os.mkdir(\"d\")\n os.chdir(\"d\")'");
  launch();
  EXPECT_EQ(gone().cause, Cause::completed);
  executor_.reset();  // waits for the sweeper
  std::set<std::string> left;
  for (const auto& entry : fs::directory_iterator(folder_of().path)) left.insert(entry.path().filename());
  for (const char* name : {"work", "home", "tmp", "junk"}) EXPECT_FALSE(left.contains(name)) << name;
  EXPECT_TRUE(left.contains("receipt.json") && left.contains("artifacts") && left.contains("train.stdout.log"));
}

TEST_F(LocalExecutorTest, AnUnwritableHomeAndAMissingKeeperAreLaunchFailures) {
  settings_.home = "/proc/no-such-home";
  begin("echo loss: 1");
  launch();
  EXPECT_EQ(gone().cause, Cause::launch_failed);
  settings_.home = folder_.path() / "home";
  settings_.keeper = "/no/such/keeper";
  begin("echo loss: 1");
  launch();
  EXPECT_EQ(gone().cause, Cause::launch_failed);
  EXPECT_NE(gone().detail.find("/no/such/keeper could not be started"), std::string::npos) << gone().detail;
}

TEST_F(LocalExecutorTest, NothingOutlivesIt) {
  begin("trap '' TERM; (setsid sleep 1000 &)\necho loss: 1; sleep 1000");
  launch();
  until_metric();
  executor_.reset();
  EXPECT_EQ(processes_below(true), 0u);
}

class EarlierLife : public LocalExecutorTest {
 protected:
  AttemptGone found_after(const std::string& script) {
    begin(script);
    executor_->expect(AttemptId{1}, core::RunId{"r"});
    executor_->observe({AttemptId{1}});
    return gone();
  }
  void write(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  std::string order_text() {
    core::Launch launch{AttemptId{1}, core::TrialId{1}, core::ExperimentId{1}, core::RunId{"r"}};
    study_.task.train.command = {"true"};
    return workers::to_json(order_for(launch, study_, {"home", settings_.home, 1, "nonce", folder_of(), {}, 1000}));
  }
};

TEST_F(EarlierLife, WhatWasDecidedButNeverLaunchedCostsNothing) {
  const AttemptGone told = found_after("true");
  EXPECT_EQ(told.cause, Cause::lease_lost);
  EXPECT_EQ(told.took, core::Millis{});
}

TEST_F(EarlierLife, AReceiptThatWasLeftCounts) {
  write(folder_of().order(), order_text());
  workers::Receipt receipt;
  receipt.run = "r";
  receipt.attempt = 1;
  receipt.nonce = "nonce";
  receipt.cause = Cause::completed;
  receipt.metrics = {{"loss", {0.75, -1, core::Phase::train, true}}};
  write(folder_of().receipt(), workers::to_json(receipt));
  EXPECT_EQ(found_after("true").score, 0.75);
}

TEST_F(EarlierLife, AReceiptOfAnotherLaunchDoesNot) {
  write(folder_of().order(), order_text());
  workers::Receipt receipt;
  receipt.attempt = 1;
  receipt.nonce = "another";
  receipt.cause = Cause::completed;
  receipt.metrics = {{"loss", {0.75, -1, core::Phase::train, true}}};
  write(folder_of().receipt(), workers::to_json(receipt));
  const AttemptGone told = found_after("true");
  EXPECT_FALSE(told.score);
  EXPECT_EQ(told.cause, Cause::lease_lost);
}

TEST_F(EarlierLife, AForgedKeeperIdMakesUsTouchNobody) {
  const pid_t stranger = ::fork();
  if (stranger == 0) {
    ::execl("/bin/sleep", "sleep", "1000", nullptr);
    ::_exit(127);
  }
  write(folder_of().order(), order_text());
  write(folder_of().keeper_pid(), identity_of(stranger) + "\n");
  EXPECT_EQ(found_after("true").cause, Cause::lease_lost) << "settled at once: the stranger is not waited for";
  executor_->stop(AttemptId{1}, core::StopLevel::kill, "halt");
  executor_.reset();
  EXPECT_EQ(::kill(stranger, 0), 0);
  workers::kill_descendants(::getpid(), INT64_MAX);
}

class GpuExecutor : public LocalExecutorTest {
 protected:
  GpuExecutor() {
    study_.task.gpus = 1;
    settings_.gpus = [this] {
      const std::lock_guard<std::mutex> turn(one_at_a_time_);
      return GpusFound{{{"GPU-1", "H200", "", users_}, {"GPU-2", "H200", "", {}}}, ""};
    };
  }
  void set_users(std::vector<int> users) {
    const std::lock_guard<std::mutex> turn(one_at_a_time_);
    users_ = std::move(users);
  }
  std::mutex one_at_a_time_;
  std::vector<int> users_;
  void TearDown() override { executor_.reset(); }  // before what it asks
};

TEST_F(GpuExecutor, SlotsAreFreeGpusAndTasksSeeTheirsAlone) {
  begin("test $CUDA_VISIBLE_DEVICES = GPU-1 && echo loss: 1");
  ASSERT_EQ(slots_.size(), 2u);
  launch();
  EXPECT_EQ(gone().cause, Cause::completed);
}

TEST_F(GpuExecutor, AGpuThatAnotherRunHoldsIsLeftOut) {
  GpuLocks other(settings_.gpu_lock_places);
  ASSERT_TRUE(other.take("GPU-1"));
  begin("echo loss: 1");
  ASSERT_EQ(slots_.size(), 1u);
  EXPECT_EQ(slots_[0].gpus, std::vector<std::string>{"GPU-2"});
  EXPECT_FALSE(other.take("GPU-2")) << "and ours is held";
  executor_.reset();
  EXPECT_TRUE(other.take("GPU-2")) << "until we end";
}

TEST_F(GpuExecutor, AGpuThatSomebodyUsesIsLeftOut) {
  users_ = {1};
  begin("echo loss: 1");
  ASSERT_EQ(slots_.size(), 1u);
  EXPECT_EQ(slots_[0].gpus, std::vector<std::string>{"GPU-2"});
}

TEST_F(GpuExecutor, AForeignProcessInMidTrialDisturbsItAndItsSlotRestsUntilItIsGone) {
  const fs::path gate = folder_.path() / "gate";
  begin("while ! test -e " + gate.string() + "; do sleep 0.02; done; echo loss: 1");
  launch(1, 0);
  launch(2, 1);
  until([&] { return started_ == 2; });
  set_users({1});
  until([&] { return checked_.size() == 1; });
  EXPECT_EQ(checked_[0], (core::SlotChecked{slots_[0].slot, false, "process 1 uses GPU-1"}));
  set_users({});
  until([&] { return checked_.size() == 2; });
  EXPECT_TRUE(checked_[1].usable);
  std::ofstream(gate) << "go";
  EXPECT_TRUE(gone(1).disturbed);
  EXPECT_EQ(gone(1).cause, Cause::completed);
  EXPECT_FALSE(gone(2).disturbed);
}

}  // namespace
}  // namespace overnight::executors
