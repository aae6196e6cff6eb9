// Mutated studies: whatever comes in, the parser answers with a study or with errors, and what it accepts the rest of
// the program can use.
#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <sstream>

#include "orchestrator/study/plan.h"
#include "tests/study/studies.h"

namespace overnight::study {
namespace {

constexpr int rounds = 4000;

std::string mutated(std::string text, std::mt19937& random) {
  static const std::vector<std::string> pieces{"{",
                                               "}",
                                               "[",
                                               "]",
                                               ":",
                                               ",",
                                               "\n",
                                               "  ",
                                               "- ",
                                               "&a ",
                                               "*a",
                                               "!!str ",
                                               "? ",
                                               "\"",
                                               "'",
                                               "|",
                                               ">",
                                               "#",
                                               "%",
                                               "---\n",
                                               "~",
                                               "0",
                                               "-1",
                                               "1e308",
                                               "9999999h",
                                               "$1e9",
                                               "\t",
                                               "\0",
                                               "@",
                                               "`",
                                               "{p.",
                                               "}}",
                                               "null",
                                               "<<",
                                               "\xff",
                                               "é",
                                               "()",
                                               "(.*)",
                                               "[[:x:]",
                                               "..",
                                               "1152921504606846976B"};
  const int edits = 1 + static_cast<int>(random() % 6);
  for (int i = 0; i < edits; ++i) {
    const std::size_t at = text.empty() ? 0 : random() % text.size();
    const std::size_t length = std::min<std::size_t>(text.size() - at, random() % 12);
    switch (random() % 5) {
      case 0:
        text.erase(at, length);
        break;
      case 1:
        text.insert(at, pieces[random() % pieces.size()]);
        break;
      case 2:
        text.replace(at, length, pieces[random() % pieces.size()]);
        break;
      case 3:
        text.insert(at, text.substr(at, length * 4));
        break;
      default:
        if (!text.empty()) text[at] = static_cast<char>(random() % 256);
    }
  }
  return text;
}

void expect_an_answer(const std::string& text, const std::vector<std::string>& overrides) {
  const auto parsed = parse_study(text, "/tmp/study.yaml", overrides);
  if (parsed) {
    EXPECT_FALSE(parsed->study.space.dimensions.empty());
    EXPECT_FALSE(parsed->study.task.train.command.empty());
    EXPECT_GT(core::worst_case_wall(parsed->study), core::Millis{});
    EXPECT_NE(plan_text(parsed->study, 3), "");
    EXPECT_EQ(core::study_from_json(core::study_to_json(parsed->study)), parsed->study);
  } else {
    EXPECT_FALSE(parsed.error().empty());
    for (const StudyError& error : parsed.error()) EXPECT_FALSE(error.explain.empty());
  }
}

TEST(Fuzz, MutatedStudiesAreParsedOrRefused) {
  std::vector<std::string> seeds{least};
  for (const char* file : {"quickstart.yaml", "architectures.yaml", "autoresearch.yaml", "llm.yaml",
                           "command-proposer/study.yaml", "script-argparse/study.yaml", "script-stdout/study.yaml"}) {
    std::ifstream in(std::string(OVERNIGHT_CONFIGS "/") + file);
    std::stringstream text;
    text << in.rdbuf();
    seeds.push_back(text.str());
  }
  for (int round = 0; round < rounds; ++round) {
    std::mt19937 random(static_cast<unsigned>(round));
    SCOPED_TRACE("seed " + std::to_string(round));
    const std::string text = mutated(seeds[random() % seeds.size()], random);
    expect_an_answer(text, {});
    if (HasFatalFailure()) return;
  }
}

TEST(Fuzz, MutatedOverridesAreTakenOrRefused) {
  const std::vector<std::string> seeds{"budgets.run.wall=1h", "proposers.0={kind: tpe, share: 2}",
                                       "space.y={type: int, low: 1, high: 9}", "task.train.command=[a, \"{seed}\"]"};
  for (int round = 0; round < rounds; ++round) {
    std::mt19937 random(static_cast<unsigned>(round));
    SCOPED_TRACE("seed " + std::to_string(round));
    expect_an_answer(least, {mutated(seeds[random() % seeds.size()], random)});
  }
}

}  // namespace
}  // namespace overnight::study
