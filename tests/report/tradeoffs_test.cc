#include "orchestrator/report/tradeoffs.h"

#include <gtest/gtest.h>

#include <cmath>

#include "made.h"
#include "orchestrator/report/charts.h"
#include "orchestrator/report/writers.h"

namespace overnight::report {
namespace {

// A study that sets the loss against the time of training (less is better) and the speed of decoding (more is better).
struct Weighing : Made {
  Weighing() {
    data.run.study.objective.tradeoffs = {{"decode_speed", core::Direction::maximize},
                                          {core::train_seconds, core::Direction::minimize}};
  }
  core::ExperimentId weigh(double loss, double speed, std::int64_t train_ms) {
    const core::ExperimentId id = found(loss);
    tell(speed, train_ms);
    return id;
  }
  void tell(double speed, std::int64_t train_ms) {
    data.trials.back().metrics["decode_speed"] = speed;
    data.attempts.back().phase_ms["train"] = train_ms;
  }
  std::vector<bool> best() const {
    const Findings found = findings_of(data);
    std::vector<bool> out;
    for (const Weighed& point : tradeoffs_of(data, found).points) out.push_back(point.best);
    return out;
  }
};

TEST(Tradeoffs, KeepWhatNoOtherBeatsInEverything) {
  Weighing made;
  made.weigh(0.20, 10, 4000);   // the best loss
  made.weigh(0.21, 900, 4000);  // decodes faster
  made.weigh(0.22, 10, 1000);   // trains faster
  made.weigh(0.23, 5, 5000);    // beaten by all
  EXPECT_EQ(made.best(), (std::vector<bool>{true, true, true, false}));
}

TEST(Tradeoffs, TakeNoNoticeOfAClocksLastDigitNorOfLessThanTheMinimumEffect) {
  Weighing made;
  made.data.run.study.objective.minimum_effect = 0.01;
  made.weigh(0.2000, 10, 40'100);
  made.weigh(0.2001, 10, 40'000);  // no faster in two digits, and as good
  made.weigh(0.2300, 10, 40'000);
  EXPECT_EQ(made.best(), (std::vector<bool>{true, true, false}));
}

TEST(Tradeoffs, TakeMeansOfTheTrialsByWhichAResultIsJudged) {
  Weighing made;
  const core::ExperimentId id = made.weigh(0.20, 1, 9000);
  for (const auto& [speed, ms] : {std::pair{100.0, 2000}, {300.0, 4000}}) {
    made.score(id, core::Purpose::confirm, 0.25);
    made.tell(speed, ms);
  }
  const Findings found = findings_of(made.data);
  const Tradeoffs tradeoffs = tradeoffs_of(made.data, found);
  ASSERT_EQ(tradeoffs.points.size(), 1u);
  EXPECT_EQ(tradeoffs.metrics, (std::vector<std::string>{"decode_speed", "train_seconds"}));
  EXPECT_DOUBLE_EQ(tradeoffs.points[0].costs[0], 200);
  EXPECT_DOUBLE_EQ(tradeoffs.points[0].costs[1], 3);
}

TEST(Tradeoffs, BelieveWhatOvernightMeasuredBeforeWhatATaskSays) {
  Weighing made;
  made.weigh(0.2, 10, 4000);
  made.data.trials.back().metrics["train_seconds"] = 0.001;
  made.data.attempts.back().memory_peak_bytes = 7;
  made.data.trials.back().metrics["memory_peak_bytes"] = 1;
  made.data.run.study.objective.tradeoffs[core::memory_peak_bytes] = core::Direction::minimize;
  const Findings found = findings_of(made.data);
  EXPECT_EQ(tradeoffs_of(made.data, found).points[0].costs, (std::vector<double>{10, 7, 4}));
}

TEST(Tradeoffs, LeaveOutWhatLacksANumber) {
  Weighing made;
  made.found(0.1);  // the best score, and nothing else
  made.weigh(0.2, 10, 4000);
  const Findings found = findings_of(made.data);
  const Tradeoffs tradeoffs = tradeoffs_of(made.data, found);
  EXPECT_EQ(tradeoffs.incomplete, 1u);
  EXPECT_EQ(made.best(), (std::vector<bool>{false, true}));
  EXPECT_TRUE(tradeoffs_chart(made.data, found).find("<svg") != std::string::npos);
}

TEST(Tradeoffs, HoldTheBaselineToo) {
  Weighing made;
  made.baseline({0.3});
  made.tell(5000, 500);
  made.weigh(0.2, 10, 4000);
  EXPECT_EQ(made.best(), (std::vector<bool>{true, true}));
}

TEST(Tradeoffs, StandInEveryFormAndInNoneWithoutThem) {
  Weighing made;
  made.weigh(0.20, 10, 4000);
  made.weigh(0.21, 900, 4000);
  for (const Format form : {Format::html, Format::markdown, Format::json}) {
    const Findings found = findings_of(made.data);
    EXPECT_NE(write_report(made.data, found, form).find("decode"), std::string::npos) << name_of(form);
  }
  made.data.run.study.objective.tradeoffs.clear();
  const Findings found = findings_of(made.data);
  EXPECT_EQ(tradeoffs_chart(made.data, found), "");
  EXPECT_EQ(to_html(made.data, found).find("id=\"tradeoffs\""), std::string::npos);
}

TEST(CostWords, KnowTheUnitOfANameThatHasOne) {
  EXPECT_EQ(cost_words("train_seconds", 40.123), "40 s");
  EXPECT_EQ(cost_words("decode_state_bytes_at_32k", 1 << 20), "1.0 MiB");
  EXPECT_EQ(cost_words("bytes_per_second", 1000), "1000");
  EXPECT_EQ(cost_words("anything", std::nan("")), "–");
  EXPECT_EQ(cost_words("x_seconds", 1e300), "1e+300");
}

}  // namespace
}  // namespace overnight::report
