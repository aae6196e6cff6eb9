// The forms for programs and terminals: CSV, JSON, Markdown.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "documents.h"
#include "made.h"
#include "orchestrator/report/writers.h"

namespace overnight::report {
namespace {

std::string written(const ReportData& data, Format format) { return write_report(data, findings_of(data), format); }

std::size_t column(const std::vector<std::vector<std::string>>& rows, const std::string& name) {
  return static_cast<std::size_t>(std::find(rows[0].begin(), rows[0].end(), name) - rows[0].begin());
}

TEST(CsvForm, HoldsAllTrialsWithUnitsInTheNamesOfItsColumns) {
  const ReportData data = night(60, 4);
  const auto rows = read_csv(written(data, Format::csv));
  ASSERT_EQ(rows.size(), data.trials.size() + 1) << rows[0][0];
  for (const auto& row : rows) EXPECT_EQ(row.size(), rows[0].size());
  for (const char* name :
       {"experiment", "seed", "score", "slot_ms", "gpu_ms", "disk_bytes", "finished_unix_ms", "param_lr"})
    EXPECT_LT(column(rows, name), rows[0].size()) << name;
  for (std::size_t i = 0; i < data.trials.size(); ++i) {
    const std::string& score = rows[i + 1][column(rows, "score")];
    if (data.trials[i].score) {
      EXPECT_EQ(std::stod(score), *data.trials[i].score) << "scores read back exactly";
    } else {
      EXPECT_EQ(score, "");
    }
  }
}

TEST(CsvForm, StaysWholeUnderHostileTextAndHoldsNoFormula) {
  const auto rows = read_csv(written(hostile(), Format::csv));
  ASSERT_EQ(rows.size(), hostile().trials.size() + 1) << rows[0][0];
  for (const auto& row : rows) {
    EXPECT_EQ(row.size(), rows[0].size());
    for (const std::string& field : row) {
      const bool number = !field.empty() && field.find_first_not_of("0123456789.-+e") == std::string::npos;
      EXPECT_TRUE(number || field.empty() || std::string("=+-@").find(field[0]) == std::string::npos) << field;
    }
  }
}

TEST(JsonForm, AgreesWithTheFindings) {
  const ReportData data = night(60, 4);
  const Findings found = findings_of(data);
  const auto read = nlohmann::json::parse(to_json(data, found));
  EXPECT_EQ(read["run"]["id"], data.run.id.text);
  EXPECT_EQ(read["verdict"]["headline"], found.verdict.headline);
  ASSERT_EQ(read["ranking"].size(), found.ranked.size());
  EXPECT_EQ(read["ranking"][0]["score"].get<double>(), found.ranked[0].estimate.mean);
  EXPECT_EQ(read["ranking"][0]["n"], 3);
  EXPECT_EQ(read["ranking"][0]["confirmed"], true);
  EXPECT_EQ(read["ranking"][0]["interval"]["low"].get<double>(), found.ranked[0].estimate.interval->low);
  EXPECT_EQ(read["trials"].size(), data.trials.size());
  EXPECT_EQ(read["experiments"].size(), data.experiments.size());
  EXPECT_EQ(read["proposers"][1]["proposer"], "llm");
  EXPECT_EQ(read["noise"]["degrees_of_freedom"], found.noise->degrees);
}

TEST(JsonForm, ParsesUnderHostileText) {
  const auto read = nlohmann::json::parse(written(hostile(), Format::json), nullptr, false);
  EXPECT_FALSE(read.is_discarded());
  EXPECT_EQ(read["run"]["owner"], "=HYPERLINK(\"http://example.com\")") << "programs get the text as it was";
}

TEST(MarkdownForm, HasVerdictTableAndBudgets) {
  const std::string text = written(night(60, 4), Format::markdown);
  EXPECT_TRUE(text.starts_with("# Experiment ")) << text.substr(0, 80);
  for (const char* part : {"## Ranked results", "| 1", "baseline", "## Budgets", "slot_time", "## Failures by cause",
                           "## Who proposed it", "## What happened", "±"})
    EXPECT_NE(text.find(part), std::string::npos) << part;
}

TEST(MarkdownForm, LetsNoHostileTextBecomeMarkup) {
  const std::string text = written(hostile(), Format::markdown);
  for (const char* part : {"<script", "<img", "](javascript", "https://", "\x1b", "</pre>", "</style"})
    EXPECT_EQ(text.find(part), std::string::npos) << part;
  // Every row of the ranked table has as many cells as its head.
  std::size_t wanted = 0;
  std::size_t at = text.find("| rank");
  ASSERT_NE(at, std::string::npos);
  while (at < text.size() && text[at] == '|') {
    const std::string line = text.substr(at, text.find('\n', at) - at);
    std::size_t cells = 0;
    for (std::size_t i = 0; i < line.size(); ++i) cells += line[i] == '|' && (i == 0 || line[i - 1] != '\\');
    if (wanted == 0) wanted = cells;
    EXPECT_EQ(cells, wanted) << line;
    at += line.size() + 1;
  }
}

TEST(AllForms, KeepSecretsOfTheStudyOut) {
  const ReportData data = hostile();
  for (const Format format : {Format::html, Format::markdown, Format::csv, Format::json})
    EXPECT_EQ(written(data, format).find("hunter2"), std::string::npos) << name_of(format);
  EXPECT_NE(study_words(data.run.study).find("fast"), std::string::npos) << "other variables stay";
}

TEST(AllForms, AreFoundByTheirNames) {
  for (const Format format : {Format::html, Format::markdown, Format::csv, Format::json})
    EXPECT_EQ(format_named(name_of(format)), format);
  EXPECT_EQ(format_named("pdf"), std::nullopt);
}

}  // namespace
}  // namespace overnight::report
