#include "orchestrator/server/views.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace overnight::server {
namespace {

using nlohmann::json;

evals::Sample sample(const std::vector<double>& scores) { return evals::sample_of(scores); }

core::Leader leader(std::int64_t id, std::vector<double> search, std::vector<double> confirm) {
  core::Leader made;
  made.origin.id = core::ExperimentId{id};
  made.origin.proposer = "tpe";
  made.origin.params = {{"x", 0.5}};
  made.search = sample(search);
  made.confirm = sample(confirm);
  return made;
}

core::Run searched() {
  core::Run run;
  run.id.text = "run-1";
  run.study.objective = {"loss", core::Direction::minimize, 0};
  return run;
}

TEST(RunView, HasNoBestBeforeAnythingWasScored) { EXPECT_FALSE(view_of(searched(), 1, std::nullopt).contains("best")); }

TEST(RunView, GivesNoIntervalWhileNothingWasRepeated) {
  core::Run run = searched();
  run.leaders = {leader(2, {0.5}, {})};
  const json best = view_of(run, 1, std::nullopt)["best"];
  EXPECT_EQ(best["score"], 0.5);
  EXPECT_EQ(best["confirmed"], false);
  EXPECT_FALSE(best.contains("interval_low"));
}

TEST(RunView, GivesASingleScoreTheNoiseOfTheBaseline) {
  core::Run run = searched();
  run.baseline = leader(1, {0.7, 0.8, 0.9}, {});
  run.leaders = {leader(2, {0.5}, {})};
  const json view = view_of(run, 1, std::nullopt);
  EXPECT_EQ(view["best"]["interval_pooled"], true);
  EXPECT_NEAR(view["best"]["interval_high"].get<double>() - 0.5, 4.302653 * 0.1, 1e-4);
  EXPECT_EQ(view["baseline"]["interval_pooled"], false);
}

TEST(RunView, PrefersAConfirmedBestToALuckySingleScore) {
  core::Run run = searched();
  run.leaders = {leader(2, {0.1}, {}), leader(3, {0.2}, {0.31, 0.33}), leader(4, {0.25}, {0.29, 0.30})};
  const json best = view_of(run, 1, std::nullopt)["best"];
  EXPECT_EQ(best["experiment"], 4);
  EXPECT_EQ(best["confirmed"], true);
  EXPECT_EQ(best["n"], 2);
}

}  // namespace
}  // namespace overnight::server
