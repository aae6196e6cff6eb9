// Tells `step` things and commits what it decided, as the loop does, one input a batch. Deterministic: the same inputs
// give the same state, so that a home read back can be compared with one that never touched a disk.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "orchestrator/core/rows.h"
#include "orchestrator/store/home_store.h"
#include "tests/core/home.h"

namespace overnight::store {

// A fresh folder with a home in it, removed at the end.
class TemporaryHome {
 public:
  TemporaryHome() {
    std::string name = (std::filesystem::temp_directory_path() / "overnight-store-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    folder_ = name;
    std::filesystem::permissions(folder_, std::filesystem::perms::all);  // for children that are other users
  }
  ~TemporaryHome() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  TemporaryHome(const TemporaryHome&) = delete;
  TemporaryHome& operator=(const TemporaryHome&) = delete;
  std::filesystem::path folder() const { return folder_; }
  std::string path() const { return (folder_ / "home").string(); }

 private:
  std::filesystem::path folder_;
};

inline std::string bytes_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class Diary {
 public:
  core::Home home{2};                 // its own first input is the home's opening
  std::vector<workers::GpuUse> gpus;  // of each attempt that ends

  // The batch of the last thing that was told.
  ports::Batch batch(const std::string& event) {
    ports::Batch made;
    core::update_hash(hash_, home.state, home.changes, made.rows);
    ports::Entry entry;
    entry.seq = core::InputSeq{++seq_};
    entry.epoch = home.state.epoch;
    entry.wall = core::WallTime::at(1'000'000 + home.now);
    entry.event = event;
    entry.input = "{\"told\":" + std::to_string(seq_) + "}";
    entry.actions = "[]";
    entry.state_hash = hash_.hex();
    made.entries.push_back(entry);
    for (const core::Run& run : home.changes.ended) made.ended.push_back(run.id);
    made.experiments = home.changes.experiments;
    made.trials = home.changes.trials;
    made.attempts = home.changes.attempts;
    made.notes = home.changes.notes;
    made.outbox = home.changes.actions;
    if (event == "start") made.studies.emplace_back(home.run, core::study_to_json(core::small_study()));
    return made;
  }

  // The `i`th input of an endless story: a run whose trials end one after the other.
  ports::Batch next() {
    if (seq_ == 0) return batch("open");
    if (seq_ == 1) {
      core::Study study = core::small_study();
      home.start(study);
      return batch("start");
    }
    const auto& attempts = home.live().attempts;
    if (!attempts.empty()) {
      const core::AttemptId attempt = attempts.begin()->first;
      if (!attempts.begin()->second.started) {
        home.tell(core::AttemptStarted{attempt}, 10);
        return batch("started");
      }
      core::AttemptGone gone{attempt};
      gone.cause = seq_ % 5 == 0 ? core::Cause::crash : core::Cause::completed;
      if (gone.cause == core::Cause::completed) gone.score = 1.0 / static_cast<double>(seq_);
      gone.detail = "the \"end\" of it,\nin two lines";
      gone.took = core::seconds(1);
      gone.gpus = gpus;
      home.tell(gone, 1000);
      return batch("gone");
    }
    if (!home.live().asks.empty()) {
      core::OffersArrived offers;
      offers.run = home.run;
      offers.ask = home.live().asks.begin()->first;
      offers.proposals.push_back({{{"x", 1.0 / static_cast<double>(seq_)}}, "because", {}});
      home.tell(offers, 1);
      return batch("offers");
    }
    home.tell(core::TimePassed{}, 60'000);
    return batch("time");
  }

  std::int64_t seq() const { return seq_; }

 private:
  core::StateHash hash_;
  std::int64_t seq_ = 0;
};

inline core::WallTime test_time() { return core::WallTime::at(1'700'000'000'000); }

inline std::unique_ptr<HomeStore> open_store(const std::string& home) {
  auto store = HomeStore::open(home, HomeStore::Mode::read_write, test_time());
  EXPECT_TRUE(store) << store.error().explain;
  return store ? std::move(*store) : nullptr;
}

// A home with a story of so many inputs, closed again.
inline void write_story(const std::string& home, int inputs) {
  auto store = open_store(home);
  ASSERT_TRUE(store);
  Diary diary;
  for (int i = 0; i < inputs; ++i) {
    const auto done = store->commit(diary.next());
    ASSERT_TRUE(done) << done.error().explain;
  }
}

}  // namespace overnight::store
