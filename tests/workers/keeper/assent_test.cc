#include "workers/keeper/assent.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <csignal>

namespace overnight::workers {
namespace {

class AssentTest : public testing::Test {
 protected:
  AssentTest() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    channel_.emplace(Descriptor(ends[0]), 7, "nonce");
    orchestrator_.reset(ends[1]);
  }

  template <typename Body>
  void say(Body body, std::int64_t sequence, const std::string& nonce = "nonce", std::int64_t attempt = 7) {
    const std::string line = to_json_line({attempt, nonce, sequence, std::move(body)});
    ASSERT_EQ(::send(orchestrator_.get(), line.data(), line.size(), 0), static_cast<ssize_t>(line.size()));
  }

  // Waits for the first event of any kind, as the keeper does.
  static void wait(const Assent& assent) {
    std::vector<pollfd> waiting;
    assent.add_to(waiting);
    ASSERT_GT(::poll(waiting.data(), waiting.size(), 10'000), 0);
  }

  std::optional<Channel> channel_;
  Descriptor orchestrator_;
};

TEST_F(AssentTest, IsNotThereBeforeALeaseIsGranted) {
  Assent assent(*channel_, 0);
  assent.look();
  EXPECT_FALSE(assent.granted());
  EXPECT_FALSE(assent.demand());
  say(GrantLease{60'000}, 1);
  assent.look();
  EXPECT_TRUE(assent.granted());
}

TEST_F(AssentTest, IgnoresGrantsThatAreForeignOrStale) {
  Assent assent(*channel_, 0);
  say(GrantLease{60'000}, 1, "other nonce");
  say(GrantLease{60'000}, 1, "nonce", 8);
  assent.look();
  EXPECT_FALSE(assent.granted());
  say(Stop{StopLevel::drain, "first"}, 5);
  say(GrantLease{60'000}, 5);
  say(GrantLease{60'000}, 4);
  assent.look();
  EXPECT_FALSE(assent.granted()) << "a repeated or older message is none";
}

TEST_F(AssentTest, EndsWithTheLease) {
  Assent assent(*channel_, 0);
  say(GrantLease{20}, 1);
  assent.look();
  while (!assent.demand()) {
    wait(assent);
    assent.look();
  }
  EXPECT_EQ(assent.demand()->cause, Cause::lease_lost);
  EXPECT_EQ(assent.demand()->level, StopLevel::kill);
}

TEST_F(AssentTest, OnceLostIsNotGivenBack) {
  Assent assent(*channel_, 0);
  say(Stop{StopLevel::kill, "halt"}, 1);
  say(GrantLease{60'000}, 2);
  assent.look();
  EXPECT_EQ(assent.demand()->detail, "halt");
  say(Stop{StopLevel::drain, "never mind"}, 3);
  assent.look();
  EXPECT_EQ(assent.demand()->level, StopLevel::kill);
}

TEST_F(AssentTest, RisesFromDrainToKill) {
  Assent assent(*channel_, 0);
  say(Stop{StopLevel::drain, "drain"}, 1);
  assent.look();
  EXPECT_EQ(assent.demand()->level, StopLevel::drain);
  say(Stop{StopLevel::kill, "kill"}, 2);
  assent.look();
  EXPECT_EQ(assent.demand()->level, StopLevel::kill);
  EXPECT_EQ(assent.demand()->detail, "kill");
}

TEST_F(AssentTest, EndsWhenTheOrchestratorIsGone) {
  Assent assent(*channel_, 0);
  say(GrantLease{60'000}, 1);
  orchestrator_.reset();
  assent.look();
  EXPECT_EQ(assent.demand()->cause, Cause::lease_lost);
}

TEST_F(AssentTest, HearsTheSignalsOfAnOfflineHalt) {
  Assent assent(*channel_, 0);
  ::raise(SIGTERM);
  assent.look();
  EXPECT_EQ(assent.demand()->level, StopLevel::drain);
  ::raise(SIGQUIT);
  assent.look();
  EXPECT_EQ(assent.demand()->level, StopLevel::kill);
}

TEST_F(AssentTest, SurvivesNoiseOnTheChannel) {
  Assent assent(*channel_, 0);
  const std::string noise = std::string(100'000, 'x') + "\n{}\n\n[1]\n{\"attempt\":7}\n";
  for (std::size_t at = 0; at < noise.size();) {
    const ssize_t size = ::send(orchestrator_.get(), noise.data() + at, noise.size() - at, MSG_DONTWAIT);
    if (size > 0) at += static_cast<std::size_t>(size);
    assent.look();
  }
  say(GrantLease{60'000}, 1);
  assent.look();
  EXPECT_TRUE(assent.granted());
}

}  // namespace
}  // namespace overnight::workers
