// What a report says of GPUs that were slowed, and of energy.
#include "orchestrator/report/gpu_facts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "documents.h"
#include "made.h"
#include "orchestrator/report/writers.h"

namespace overnight::report {
namespace {

using workers::Throttling;

workers::GpuUse use(std::int64_t slowed_ms, std::int64_t mj) {
  workers::GpuUse one;
  one.uuid = "GPU-1";
  one.judged_ms = one.energy_ms = 1000;
  one.slowed_ms = slowed_ms;
  if (slowed_ms > 0) one.slowed_by = {"software power cap"};
  one.energy_mj = mj;
  return one;
}

core::AttemptRecord attempt(std::vector<workers::GpuUse> gpus) {
  core::AttemptRecord made;
  made.gpus = std::move(gpus);
  made.phase_ms = {{"train", 900}, {"evaluate", 100}};
  return made;
}

// The baseline was slowed in one of two measurements, the first experiment in none; of the second nothing is known.
ReportData on_gpus() {
  Made made;
  made.baseline({0.30, 0.31});
  made.found(0.28);
  made.found(0.27);
  made.end(core::EndKind::done, "the number of experiments is reached");
  made.data.run.study.task.gpus = 1;
  for (core::AttemptRecord& one : made.data.attempts) one.phase_ms = {{"train", 1000}};
  made.data.attempts[0].gpus = {use(0, 2'000'000)};
  made.data.attempts[1].gpus = {use(400, 3'000'000)};
  made.data.attempts[2].gpus = {use(50, 500'000)};
  return made.data;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string line_of(const std::string& text, const std::string& part) {
  const std::size_t at = text.find(part), begin = text.rfind('\n', at) + 1;
  return at == std::string::npos ? "" : text.substr(begin, text.find('\n', at) - begin);
}

TEST(GpuFacts, OfATrialAreThoseOfItsLastAttemptAndTheEnergyOfAll) {
  const GpuFacts first = gpu_facts_after(std::nullopt, attempt({use(500, 10)}));
  EXPECT_EQ(first.throttling, Throttling::yes);
  EXPECT_EQ(throttling_words(first), "50 % of the time: software power cap");
  const GpuFacts second = gpu_facts_after(first, attempt({use(0, 7)}));
  EXPECT_EQ(second.throttling, Throttling::no);
  EXPECT_EQ(second.energy, (workers::GpuEnergy{17, true}));
  EXPECT_EQ(gpu_facts_after(second, core::AttemptRecord{}), second) << "one that never ran changes nothing";
}

TEST(GpuFacts, OfAnAttemptThatTellsNothingAreUnknown) {
  const GpuFacts facts = gpu_facts_after(std::nullopt, attempt({}));
  EXPECT_EQ(facts.throttling, Throttling::unknown);
  EXPECT_EQ(throttling_words(facts), "unknown");
  EXPECT_EQ(energy_words(facts.energy), "unknown");
  EXPECT_EQ(energy_words(sum_of(facts.energy, {7000, true})), "at least 7 J");
}

TEST(GpuFacts, EnergyHasTheUnitThatFits) {
  EXPECT_EQ(energy_words({0, true}), "0 J");
  EXPECT_EQ(energy_words({950'400, true}), "950 J");
  EXPECT_EQ(energy_words({12'340'000, true}), "12.3 kJ");
  EXPECT_EQ(energy_words({3'600'000'000, true}), "3.60 MJ");
}

TEST(GpuFacts, AreCountedForEachResult) {
  const ReportData data = on_gpus();
  const Findings found = findings_of(data);
  EXPECT_EQ(found.baseline->throttled.yes, 1);
  EXPECT_EQ(found.baseline->throttled.all, 2);
  EXPECT_EQ(found.baseline->energy, (workers::GpuEnergy{5'000'000, true}));
  ASSERT_EQ(found.ranked.size(), 2u);
  EXPECT_EQ(found.ranked[0].throttled.unknown, 1);
  EXPECT_EQ(found.ranked[0].energy.mj, -1);
  EXPECT_EQ(found.ranked[1].throttled.yes + found.ranked[1].throttled.unknown, 0) << "5 % are few";
  EXPECT_EQ(found.energy, (workers::GpuEnergy{5'500'000, false}));
  const auto& caveats = found.verdict.caveats;
  const auto says = [&](const std::string& part) {
    return std::any_of(caveats.begin(), caveats.end(), [&](const std::string& caveat) { return has(caveat, part); });
  };
  EXPECT_TRUE(says("(software power cap), in 1 of 4 measurements"));
  EXPECT_TRUE(says("is not known, in 1 of 4 measurements"));
}

TEST(GpuFacts, StandInMarkdownAndOnThePage) {
  const ReportData data = on_gpus();
  const Findings found = findings_of(data);
  const std::string text = to_markdown(data, found);
  EXPECT_TRUE(has(line_of(text, "| baseline |"), "‡ |")) << line_of(text, "| baseline |");
  EXPECT_TRUE(has(line_of(text, "| baseline |"), "| 5.0 kJ |"));
  EXPECT_TRUE(has(line_of(text, "| #3 |"), "‡? |")) << line_of(text, "| #3 |");
  EXPECT_FALSE(has(line_of(text, "| #2 |"), "‡")) << line_of(text, "| #2 |");
  EXPECT_TRUE(has(text, "- **energy**: at least 5.5 kJ"));
  const std::string page = to_html(data, found);
  EXPECT_TRUE(has(page, "a GPU was slowed in 1 of 2 measurements: software power cap\">‡<"));
  EXPECT_TRUE(has(page, "whether a GPU was slowed is not known\">‡?<"));
  EXPECT_TRUE(has(page, "500 J</span>"));
}

TEST(GpuFacts, StandInJsonAndCsv) {
  const ReportData data = on_gpus();
  const Findings found = findings_of(data);
  const auto read = nlohmann::json::parse(to_json(data, found));
  EXPECT_EQ(read["baseline"]["throttled"]["yes"], 1);
  EXPECT_EQ(read["baseline"]["gpu_energy"]["mj"], 5'000'000);
  EXPECT_TRUE(read["ranking"][0]["gpu_energy"]["mj"].is_null());
  EXPECT_EQ(read["trials"][1]["gpus"]["throttled"], "yes");
  EXPECT_EQ(read["trials"][1]["gpus"]["slowed_percent"], 40);
  EXPECT_EQ(read["trials"][2]["gpus"]["throttled"], "no");
  EXPECT_EQ(read["trials"][3]["gpus"]["throttled"], "unknown");
  EXPECT_TRUE(read["trials"][3]["gpus"]["slowed_percent"].is_null());
  const auto rows = read_csv(to_csv(data, found));
  const auto column = [&](const std::string& name) {
    return static_cast<std::size_t>(std::find(rows[0].begin(), rows[0].end(), name) - rows[0].begin());
  };
  EXPECT_EQ(rows[2][column("throttled")], "yes");
  EXPECT_EQ(rows[2][column("slowed_by")], "software power cap");
  EXPECT_EQ(rows[2][column("gpu_energy_mj")], "3000000");
  EXPECT_EQ(rows[4][column("throttled")], "unknown");
  EXPECT_EQ(rows[4][column("gpu_energy_mj")], "");
}

TEST(GpuFacts, AreNotSpokenOfWhereThereAreNoGpus) {
  ReportData data = on_gpus();
  data.run.study.task.gpus = 0;
  const Findings found = findings_of(data);
  EXPECT_FALSE(has(to_markdown(data, found), "energy"));
  EXPECT_FALSE(has(to_html(data, found), "‡"));
  EXPECT_TRUE(nlohmann::json::parse(to_json(data, found))["trials"][0]["gpus"].is_null());
  const auto rows = read_csv(to_csv(data, found));
  for (const auto& row : rows) EXPECT_EQ(row.size(), rows[0].size());
}

}  // namespace
}  // namespace overnight::report
