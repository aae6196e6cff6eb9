#include "workers/keeper/metric_book.h"

#include <gtest/gtest.h>

namespace overnight::workers {
namespace {

TEST(FiniteNumber, IsWhatItSaysAndNothingElse) {
  EXPECT_EQ(finite_number("1.5"), 1.5);
  EXPECT_EQ(finite_number("+2"), 2);
  EXPECT_EQ(finite_number("-3e-2"), -0.03);
  for (const char* words : {"", "nan", "inf", "1e999", "1.5 ", " 1", "1,5", "0x1", "+-1", "one"})
    EXPECT_FALSE(finite_number(words)) << words;
}

TEST(ReportLine, IsAnObjectWithNameAndValue) {
  const auto report = report_from_line(R"({"name":"loss","value":1.5,"step":7})");
  ASSERT_TRUE(report);
  EXPECT_EQ(report->name, "loss");
  EXPECT_EQ(report->value, 1.5);
  EXPECT_EQ(report->step, 7);
  for (const char* line :
       {"", "{}", "[]", "1", R"({"name":"x"})", R"({"value":1})", R"({"name":1,"value":1})", R"({"name":"","value":1})",
        R"({"name":"x","value":1,"more":2})", R"({"name":"x","value":1,"step":1.5})",
        R"({"name":"x","name":"y","value":1})", R"({"name":"x","value":1}{)", "loss: 1"})
    EXPECT_FALSE(report_from_line(line)) << line;
}

TEST(ReportLine, ThatIsNoFiniteNumberIsAReportWithoutValue) {
  for (const char* value : {"NaN", "Infinity", "-Infinity", "1e999", "-1e999", "null", "\"0.5\"", "[]"}) {
    const auto report = report_from_line(std::string(R"({"name":"loss","value":)") + value + "}");
    ASSERT_TRUE(report) << value;
    EXPECT_FALSE(report->value) << value;
    EXPECT_FALSE(report->words.empty());
  }
  EXPECT_FALSE(report_from_line(R"({"name": "loss", "step": 3, "value": 1e999})")->value);
  for (const char* name : {R"(a\u0000)", R"(a\nb)", R"(\u001b[2J)", R"(\u007f)"})
    EXPECT_FALSE(report_from_line(std::string(R"({"name":")") + name + R"(","value":1})")) << name;
  EXPECT_EQ(report_from_line(R"({"name":"1e999","value":1e-999})")->name, "1e999");
  EXPECT_EQ(report_from_line(R"({"name":"NaN","value":1})")->name, "NaN") << "inside a text it is a text";
}

TEST(ReportLine, AsDeepAsALineCanBeIsNoReportAndNoCrash) {
  EXPECT_FALSE(report_from_line(std::string(metric_line_bytes_max, '[')));
  EXPECT_FALSE(report_from_line(R"({"name":"x","value":)" + std::string(4000, '[')));
}

TEST(MetricBook, TakesEvaluatesWordBeforeTrains) {
  MetricBook book("loss");
  EXPECT_EQ(book.objective(), nullptr);
  book.note(Phase::train, {"loss", 1.0, "", -1});
  EXPECT_EQ(book.objective()->value, 1.0);
  EXPECT_TRUE(book.receipts().at("loss").self_reported);
  book.note(Phase::evaluate, {"loss", 2.0, "", -1});
  book.note(Phase::train, {"loss", 0.0, "", -1});
  EXPECT_EQ(book.objective()->value, 2.0);
  EXPECT_FALSE(book.receipts().at("loss").self_reported);
}

TEST(MetricBook, WhereThereIsAnEvaluatePhaseNobodyElsesWordOnTheObjectiveCounts) {
  MetricBook book("loss", true);
  book.note(Phase::train, {"loss", 1.0, "", -1});
  book.note(Phase::train, {"tokens", 7.0, "", -1});
  EXPECT_EQ(book.objective(), nullptr);
  EXPECT_FALSE(book.receipts().contains("loss"));
  EXPECT_TRUE(book.receipts().contains("tokens"));
  book.note(Phase::evaluate, {"loss", 2.0, "", -1});
  EXPECT_EQ(book.receipts().at("loss").value, 2.0);
}

TEST(MetricBook, TakesTheLastReportEvenIfItIsBad) {
  MetricBook book("loss");
  book.note(Phase::train, {"loss", 1.0, "", -1});
  book.note(Phase::train, {"loss", std::nullopt, "nan", -1});
  EXPECT_FALSE(book.objective()->value);
  EXPECT_FALSE(book.receipts().contains("loss"));
}

TEST(MetricBook, ABadWordOfEvaluateIsNotReplacedByTrains) {
  MetricBook book("loss");
  book.note(Phase::train, {"loss", 1.0, "", -1});
  book.note(Phase::evaluate, {"loss", std::nullopt, "nan", -1});
  EXPECT_FALSE(book.receipts().contains("loss"));
}

TEST(MetricBook, KeepsRoomForTheObjectiveAmongCountlessNames) {
  MetricBook book("loss");
  for (int i = 0; i < 1000; ++i) book.note(Phase::train, {"m" + std::to_string(i), 1.0, "", -1});
  book.note(Phase::train, {"loss", 5.0, "", -1});
  EXPECT_EQ(book.receipts().size(), metrics_per_attempt_max);
  EXPECT_EQ(book.receipts().at("loss").value, 5.0);
  EXPECT_EQ(book.names_dropped(), 1000 - static_cast<std::int64_t>(metrics_per_attempt_max) + 1);
}

std::vector<std::string> cut(const std::vector<std::string>& pieces, LineCutter& cutter) {
  std::vector<std::string> lines;
  const auto use = [&](std::string_view line) { lines.emplace_back(line); };
  for (const auto& piece : pieces) cutter.append(piece, use);
  cutter.finish(use);
  return lines;
}

TEST(LineCutter, PutsLinesTogetherHoweverTheyCome) {
  LineCutter cutter;
  EXPECT_EQ(cut({"one\ntw", "o", "\r\n\n", "three"}, cutter), (std::vector<std::string>{"one", "two", "three"}));
}

TEST(LineCutter, SwallowsLinesThatAreTooLongInOnePieceOrInMany) {
  const std::string piece(1000, 'x');
  LineCutter cutter;
  EXPECT_EQ(cut({piece, piece, piece, piece, piece, "\nshort\n", std::string(5000, 'y') + "\nlast"}, cutter),
            (std::vector<std::string>{"short", "last"}));
  EXPECT_EQ(cutter.too_long(), 2);
}

TEST(StdoutMetrics, AreWhatTheFirstGroupHolds) {
  const StdoutMetrics metrics({{"loss", "^loss: ([0-9.]+)"}, {"bpb", "bpb=(\\S+)"}});
  const auto reports = metrics.match("loss: 0.5 bpb=nan");
  ASSERT_EQ(reports.size(), 2u);
  EXPECT_EQ(reports[0].name, "bpb");
  EXPECT_FALSE(reports[0].value);
  EXPECT_EQ(reports[1].value, 0.5);
  EXPECT_TRUE(metrics.match(" loss: 0.5").empty());
}

}  // namespace
}  // namespace overnight::workers
