// The journal is replay: its inputs, stepped again from nothing, give the same state hashes; other inputs give others.
#include <gtest/gtest.h>

#include "orchestrator/core/rows.h"
#include "orchestrator/core/step.h"
#include "tests/sim/world.h"

namespace overnight::replay_tests {
namespace {

// The state hash after each entry.
std::vector<std::string> hashes_of(const std::vector<ports::Entry>& entries) {
  core::State state;
  core::StateHash hash;
  std::vector<std::string> hashes;
  for (const ports::Entry& entry : entries) {
    const auto input = core::input_from_json(entry.input);
    if (!input) {
      hashes.push_back("unreadable: " + input.error());
      break;
    }
    core::Changes changes;
    core::step(state, *input, changes);
    std::map<std::string, std::string> rows;
    core::update_hash(hash, state, changes, rows);
    hashes.push_back(hash.hex());
  }
  return hashes;
}

std::vector<std::string> recorded(const std::vector<ports::Entry>& entries) {
  std::vector<std::string> hashes;
  for (const ports::Entry& entry : entries) hashes.push_back(entry.state_hash);
  return hashes;
}

// What worlds full of crashes, faults and people wrote down.
std::vector<ports::Entry> journal_of(std::uint64_t seed) {
  sim::Counts counts;
  sim::World world(sim::draw(seed), counts);
  world.run();
  return world.journal().entries;
}

TEST(Replay, GivesTheSameStateHashesThroughAllLivesOfTheOrchestrator) {
  std::int64_t lives = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const auto entries = journal_of(seed);
    const auto again = hashes_of(entries), first = recorded(entries);
    for (std::size_t i = 0; i < first.size(); ++i)
      ASSERT_EQ(again[i], first[i]) << "seed " << seed << ", entry " << i + 1 << ": " << entries[i].event;
    lives += core::number(entries.back().epoch);
  }
  EXPECT_GT(lives, 20) << "some seeds must have crashes";
}

TEST(Replay, AChangedInputGivesAnotherHash) {
  auto entries = journal_of(3);
  const auto truth = hashes_of(entries);
  std::size_t changed = 0;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    auto input = core::input_from_json(entries[i].input);
    auto* gone = std::get_if<core::AttemptGone>(&input->event);
    if (gone == nullptr || !gone->took || truth[i] == (i == 0 ? "" : truth[i - 1])) continue;
    *gone->took += core::Millis::of(1);  // one millisecond more than it took
    auto forged = entries;
    forged.resize(i + 1);
    forged[i].input = core::input_to_json(*input);
    EXPECT_NE(hashes_of(forged).back(), truth[i]) << "entry " << i + 1;
    if (++changed == 5) break;
  }
  EXPECT_GT(changed, 0u);
}

}  // namespace
}  // namespace overnight::replay_tests
