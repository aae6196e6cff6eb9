// Every end leaves a report that a lead can open, whatever became of the run.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <fstream>

#include "tests/system/studies.h"

namespace overnight::system_tests {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string reports = ".overnight/runs/night-1/";

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

Finished run_named(const Folder& folder, const Wanted& wanted) {
  return run(folder, {"run", write_study(folder, wanted), "--plain", "--run-id", "night-1"});
}

TEST(Report, OfARunThatWasDoneHoldsItsVerdictInEveryForm) {
  const Folder folder;
  // The score is x and a little of the seed: replicates differ, and a smaller x wins.
  const auto done = run_named(
      folder, {.script = "awk -v x=\"$1\" -v s=\"$3\" 'BEGIN {printf \"loss: %.6f\\n\", x + 0.001 * (s % 7)}'\n",
               .experiments = 12,
               .task_more = "  seed: {argv: --seed}\n  env_pass: [PATH]\n",
               .evaluation = "{baseline_replicates: 3, confirm_replicates: 3, confirm_top: 2}"});
  ASSERT_EQ(done.exit_code, 0) << done.output;
  EXPECT_TRUE(has(done.output, "beats the baseline by")) << done.output;
  EXPECT_TRUE(has(done.output, "±")) << done.output;
  const std::string page = folder.read(reports + "report.html"), text = folder.read(reports + "report.md");
  EXPECT_TRUE(has(page, "better than the baseline, confirmed"));
  EXPECT_TRUE(has(page, "</html>"));
  EXPECT_TRUE(has(text, "beats the baseline by"));
  const json all = run_json(folder, {"report"});
  EXPECT_EQ(all["ranking"].size(), 12u);
  EXPECT_EQ(all["ranking"][0]["confirmed"], true);
  EXPECT_EQ(all["baseline"]["n"], 3);
  EXPECT_EQ(all["trials"].size(), 3u + 12u + 6u);
  EXPECT_EQ(all["journal"]["head"].get<std::string>().size(), 64u);
  ASSERT_EQ(run(folder, {"report", "night-1", "--format", "csv", "--output", "trials.csv"}).exit_code, 0);
  const std::string csv = folder.read("trials.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 3 + 12 + 6);
  EXPECT_TRUE(has(run(folder, {"report", "--format", "html"}).output, "<!doctype html>"));
  EXPECT_TRUE(has(run(folder, {"report"}).output, "rank"));
}

TEST(Report, RefusesAFormThatThereIsNot) {
  const Folder folder;
  ASSERT_EQ(run_named(folder, {.experiments = 1}).exit_code, 0);
  const auto refused = run(folder, {"report", "--format", "pdf"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_TRUE(has(refused.output, "html, md, csv and json")) << refused.output;
}

TEST(Report, OfAFailedBaselineShowsItsLastLines) {
  const Folder folder;
  const auto failed =
      run_named(folder, {.script = "echo 'no such <data> set' >&2\nexit 3\n", .task_more = "  retries: {crash: 0}\n"});
  EXPECT_EQ(failed.exit_code, 1);
  const std::string page = folder.read(reports + "report.html");
  EXPECT_TRUE(has(page, "the baseline could not be measured"));
  EXPECT_TRUE(has(page, "no such &lt;data&gt; set"));
}

TEST(Report, OfAHaltTellsWhoHaltedItAndHowLongThatTook) {
  const Folder folder;
  const auto study = write_study(folder, {.script = "case $1 in 0.5) echo \"loss: 1\";; *) sleep 1000;; esac\n"});
  Program running({overnight(), "run", study, "--plain", "--run-id", "night-1"}, folder.path());
  ASSERT_TRUE(running.says("the search begins")) << running.output();
  EXPECT_EQ(run(folder, {"halt", "--reason", "enough <b>seen"}).exit_code, 0);
  EXPECT_EQ(running.wait().exit_code, 3);
  const std::string page = folder.read(reports + "report.html");
  EXPECT_TRUE(has(page, ">halted</span>"));
  EXPECT_TRUE(has(page, "enough &lt;b&gt;seen"));
  EXPECT_TRUE(has(page, "seen to be gone after"));
}

TEST(Report, ThatCannotBeWrittenIsToldAndTheRunGoesOn) {
  const Folder folder;
  fs::create_directories(folder.path() / reports / "report.html" / "in-the-way");
  const auto done = run_named(folder, {});
  EXPECT_EQ(done.exit_code, 0) << done.output;
  EXPECT_TRUE(has(done.output, "the report cannot be written")) << done.output;
  EXPECT_TRUE(fs::is_regular_file(folder.path() / reports / "report.md")) << "the other form is";
}

}  // namespace
}  // namespace overnight::system_tests
