// The HTML page: what must stand in it, that it is well formed, that it is closed to the world, and how large it gets.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "documents.h"
#include "made.h"
#include "orchestrator/report/writers.h"

namespace overnight::report {
namespace {

std::string page(const ReportData& data) { return to_html(data, findings_of(data)); }

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

ReportData failed_baseline() {
  Made made;
  const auto base = made.admit(core::Purpose::baseline, "baseline", 0.01);
  for (int i = 0; i < 3; ++i)
    made.fail(base, core::Purpose::baseline, core::Cause::crash, "exit status 1 in train",
              "Traceback (most recent call last):\n  File \"train.py\", line 3, in <module>\n    import torch\n"
              "ModuleNotFoundError: No module named 'torch'\n");
  made.data.run.baseline_detail =
      "exit status 1 in train\nTraceback (most recent call last):\n  File \"train.py\", line 3, in <module>\n    "
      "import "
      "torch\nModuleNotFoundError: No module named 'torch'\n";
  made.end(core::EndKind::failed, "the baseline could not be measured. exit status 1 in train");
  return made.data;
}

ReportData halted() {
  ReportData data = night(30, 2);
  data.trials.resize(20);
  data.attempts.resize(22);
  for (std::size_t i = 20; i < 22; ++i) data.attempts[i].cause = core::Cause::stopped;
  const core::WallTime at = data.attempts.back().gone;
  data.written = at;
  data.run.wall_used = at - data.run.started;
  data.run.end = core::End{core::EndKind::halted, "halted by user:alice (api): the metric looks wrong", at};
  core::Halt halt;
  halt.requested_wall = at - core::Millis::of(240);
  halt.attempts = 2;
  halt.confirmed_after = core::Millis::of(240);
  data.run.halt = halt;
  data.run.latch = core::Latch{"user:alice", "api", "the metric looks wrong", at};
  data.notes.back() = {data.run.id, at, "halt", "halt confirmed: 2 attempts seen to be gone after 240 ms"};
  return data;
}

ReportData tiny() {
  Made made;
  made.baseline({0.30});
  made.found(0.28);
  made.end(core::EndKind::done, "the number of experiments is reached");
  return made.data;
}

TEST(Page, IsWellFormedForEveryKindOfRun) {
  EXPECT_EQ(what_is_wrong_with_html(page(night(200, 4))), "");
  EXPECT_EQ(what_is_wrong_with_html(page(night(3000, 60))), "");
  EXPECT_EQ(what_is_wrong_with_html(page(failed_baseline())), "");
  EXPECT_EQ(what_is_wrong_with_html(page(halted())), "");
  EXPECT_EQ(what_is_wrong_with_html(page(tiny())), "");
  EXPECT_EQ(what_is_wrong_with_html(page(Made().data)), "") << "a run that has done nothing yet";
}

TEST(Page, IsCheckedByACheckThatCanFail) {
  EXPECT_NE(what_is_wrong_with_html("<!doctype html><p>a<b>c</p></b>"), "");
  EXPECT_NE(what_is_wrong_with_html("<p>1 < 2</p>"), "");
  EXPECT_NE(what_is_wrong_with_html("<p>a & b</p>"), "");
  EXPECT_NE(what_is_wrong_with_html("<p class=x>a</p>"), "");
  EXPECT_NE(what_is_wrong_with_html("<p onclick=\"x\">a</p>"), "");
  EXPECT_NE(what_is_wrong_with_html("<div>"), "");
}

TEST(Page, LetsNoHostileTextBecomeMarkup) {
  const std::string text = page(hostile());
  EXPECT_EQ(what_is_wrong_with_html(text), "");
  for (const char* part : {"<script", "<img", "onerror=alert(2)>", "\x1b", "\xE2\x80\xAE", "hunter2"})
    EXPECT_FALSE(has(text, part)) << part;
  EXPECT_TRUE(has(text, "&lt;script&gt;")) << "it is shown, as text";
}

TEST(Page, ReachesForNothingOutsideItself) {
  const std::string text = page(night(200, 4));
  for (const char* part : {"http:", "https:", "//", "@import", "url(", "src=", "href="})
    EXPECT_FALSE(has(text, part)) << part;
  EXPECT_TRUE(has(text, "default-src 'none'"));
}

TEST(Page, ShowsAllThatALeadAsksFor) {
  const ReportData data = night(200, 4);
  const std::string text = page(data);
  for (const char* id :
       {"facts", "ranking", "history", "parameters", "slots", "budgets", "failures", "proposers", "notes", "reproduce"})
    EXPECT_TRUE(has(text, "<section id=\"" + std::string(id) + "\">")) << id;
  for (const char* part : {"prefers-color-scheme:dark", "@media print", "role=\"img\"", "scope=\"col\"", "confirmed",
                           "crash_rate tripped", "out_of_memory", "overnight audit verify", "the lab"})
    EXPECT_TRUE(has(text, part)) << part;
}

TEST(Page, OfAFailedBaselineShowsTheEndOfItsLog) {
  const std::string text = page(failed_baseline());
  EXPECT_TRUE(has(text, "the baseline could not be measured"));
  EXPECT_TRUE(has(text, "ModuleNotFoundError: No module named &#39;torch&#39;"));
}

TEST(Page, OfAHaltTellsWhoWhyAndHowLongItTook) {
  const std::string text = page(halted());
  EXPECT_TRUE(has(text, ">halted</span>"));
  EXPECT_TRUE(has(text, "user:alice"));
  EXPECT_TRUE(has(text, "all were seen to be gone after 240 ms"));
  EXPECT_TRUE(has(text, "cut short"));
}

TEST(Page, StaysSmallAtTwentyThousandTrials) {
  const ReportData data = night(20'000, 64);
  const std::string text = page(data);
  EXPECT_LT(text.size(), 2'000'000u);
  EXPECT_EQ(what_is_wrong_with_html(text), "");
  EXPECT_TRUE(has(text, "20,000"));
  EXPECT_TRUE(has(text, "drawn once")) << "the caption says what was merged";
}

TEST(Page, OfTheSameDataIsTheSame) { EXPECT_EQ(page(night(50, 2)), page(night(50, 2))); }

// For the eye: set the variable to a folder and look at what lies there.
TEST(Page, IsWrittenForTheEyeWhenAskedFor) {
  const char* folder = std::getenv("OVERNIGHT_REPORT_SAMPLES");
  if (folder == nullptr) GTEST_SKIP() << "OVERNIGHT_REPORT_SAMPLES names no folder";
  const std::pair<const char*, ReportData> samples[] = {
      {"night", night(240, 4)}, {"large", night(20'000, 64)}, {"failed", failed_baseline()}, {"halted", halted()},
      {"tiny", tiny()},         {"hostile", hostile()}};
  for (const auto& [name, data] : samples)
    std::ofstream(std::string(folder) + "/" + name + ".html", std::ios::binary) << page(data);
}

}  // namespace
}  // namespace overnight::report
