// configs/study.schema.json says what the parser takes: the same keys in both directions, and every study that is
// shipped fits it. Whatever a study says is checked by the parser; the schema is for editors.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "orchestrator/study/reader.h"
#include "tests/study/schema_checker.h"
#include "tests/study/studies.h"

namespace overnight::study {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string whole(const fs::path& file) {
  std::ifstream in(file);
  EXPECT_TRUE(in) << file;
  return {std::istreambuf_iterator<char>(in), {}};
}

const json& schema() {
  static const json loaded = json::parse(whole(fs::path(OVERNIGHT_CONFIGS) / "study.schema.json"));
  return loaded;
}

json json_of(const Node& node) {
  json out;
  switch (node.kind) {
    case Node::Kind::null:
      return nullptr;
    case Node::Kind::scalar:
      std::visit([&](const auto& value) { out = value; }, value_of(node));
      return out;
    case Node::Kind::sequence:
      out = json::array();
      for (const Node& item : node.items) out.push_back(json_of(item));
      return out;
    case Node::Kind::mapping:
      out = json::object();
      for (const Node::Entry& entry : node.entries) out[entry.key] = json_of(entry.value);
      return out;
  }
  return out;
}

json json_of(const std::string& yaml) {
  Errors errors;
  const Node root = read_document(yaml, "study.yaml", errors);
  EXPECT_TRUE(errors.empty()) << words_of(errors.take());
  return json_of(root);
}

// Studies that, together, have every section in every form.
const std::string everything = R"yaml(study: all
objective: {metric: loss, direction: minimize}
task:
  workspace: {path: .}
  build: {command: make}
  train: {command: [./train], stop: {signal: SIGINT}, metrics: {loss: "(.*)"}}
  evaluate: {command: [./score], private: {validation: v}}
  seed: {replace: {file: train.py, pattern: "SEED = ([0-9]+)"}}
  secrets: [{name: KEY, phase: train}]
  resources: {cpus: 1}
  artifacts: {keep: [champion]}
  retries: {crash: 1}
baseline: {c: a, f: 0.5}
space:
  c: {type: choice, values: [a, b]}
  f: {type: float, low: 0, high: 1}
  i: {type: int, low: 0, high: 9, when: {c: [b]}}
proposers:
  - {kind: random}
  - {kind: grid}
  - {kind: list, points: [{c: a, f: 0.25}]}
  - {kind: sobol}
  - {kind: tpe}
  - {kind: command, command: [./ask]}
  - {kind: llm, base_url: "http://localhost/v1", model: m, price: {input: $1, output: $2}}
budgets: {run: {experiments: 10}, experiment: {slot_time: 9h}, attempt: {processes: 4}}
evaluation: {confirm_top: 1}
governor:
  breakers:
    consecutive_crashes: {count: 4}
    crash_rate: {percent: 40}
    not_finite: {count: 2}
    stagnation: {count: 50}
    proposer_faults: {count: 3}
executor: {kind: local}
notify: {webhook: "http://localhost/hook"}
)yaml";

// The part of `value` that a section's path names: "proposers[0].price".
json* at_path(json& value, const std::string& path) {
  json* at = &value;
  std::string steps = std::regex_replace(path, std::regex("\\[([0-9]+)\\]"), ".$1");
  std::istringstream keys(steps);
  for (std::string key; std::getline(keys, key, '.');) {
    if (key.empty()) continue;
    at = at->is_array() ? &at->at(std::stoul(key)) : &at->at(key);
  }
  return at;
}

TEST(Schema, KnowsTheKeysThatTheParserKnowsAndNoOthers) {
  const KnownKeys known = known_keys(everything);
  EXPECT_GT(known.size(), 30u);
  const json study = json_of(everything);
  SchemaChecker checker(schema());
  ASSERT_EQ(checker.faults(study), "");
  const KnownKeys listed = checker.keys_by_section(study);
  for (const auto& [section, keys] : known) {
    ASSERT_TRUE(listed.contains(section)) << "the schema has no section " << section;
    EXPECT_EQ(listed.at(section), keys) << "in section \"" << section << "\"";
  }
  for (const auto& [section, keys] : listed)
    EXPECT_TRUE(known.contains(section)) << "the parser has no section " << section;
}

TEST(Schema, EverySectionOfItIsMetByThatComparison) {
  SchemaChecker checker(schema());
  (void)checker.keys_by_section(json_of(everything));
  EXPECT_EQ(checker.sections_never_met(), (std::vector<std::string>{}));
}

TEST(Schema, RefusesAnUnknownKeyInEverySection) {
  const SchemaChecker checker(schema());
  for (const auto& [section, _] : known_keys(everything)) {
    json study = json_of(everything);
    (*at_path(study, section))["no_such_key"] = 1;
    EXPECT_NE(checker.faults(study), "") << section;
  }
}

TEST(Schema, DescribesEveryKey) {
  for (const auto& [name, keys] : SchemaChecker(schema()).undescribed())
    EXPECT_TRUE(keys.empty()) << name << ": " << json(keys);
}

TEST(Schema, RefusesQuantitiesWithoutTheirUnitsAsTheParserDoes) {
  const SchemaChecker checker(schema());
  const std::vector<std::pair<std::string, bool>> cases{{"budgets.run.wall=20h", true},
                                                        {"budgets.run.wall=1h30m", true},
                                                        {"budgets.run.wall=20", false},
                                                        {"budgets.run.wall=-1h", false},
                                                        {"budgets.run.disk=64GiB", true},
                                                        {"budgets.run.disk=64", false},
                                                        {"budgets.run.llm_cost=$20", true},
                                                        {"budgets.run.llm_cost=20", false},
                                                        {"budgets.run.experiments=2k", true},
                                                        {"budgets.run.experiments=0", false},
                                                        {"budgets.run.until=\"07:30\"", true},
                                                        {"budgets.run.until=\"24:30\"", false},
                                                        {"budgets.run.reserve=15%", true},
                                                        {"budgets.run.reserve=lots", false},
                                                        {"objective.direction=smaller", false},
                                                        {"executor.slots=auto", true},
                                                        {"executor.slots=0", false},
                                                        {"task.train.stop.grace=0", true},
                                                        {"task.train.stop.grace=3", false},
                                                        {"task.env_pass=[PATH]", true},
                                                        {"task.env_pass=[OVERNIGHT_X]", false},
                                                        {"proposers.4.gamma=0.7", false},
                                                        {"proposers.4.gamma=0.2", true},
                                                        {"space.f.type=flaot", false},
                                                        {"notify.webhook=ftp://x", false}};
  for (const auto& [assignment, good] : cases) {
    Errors errors;
    Node root = read_document(everything, "study.yaml", errors);
    override_one(root, assignment, errors);
    ASSERT_TRUE(errors.empty());
    EXPECT_EQ(checker.faults(json_of(root)).empty(), good) << assignment << ": " << checker.faults(json_of(root));
    const std::string words = words_of(errors_of(everything, {assignment}));
    EXPECT_EQ(words.empty(), good) << assignment << ": " << words;
  }
}

TEST(Schema, AllShippedStudiesFitItAndNameIt) {
  const SchemaChecker checker(schema());
  int studies = 0;
  for (const auto& entry : fs::recursive_directory_iterator(OVERNIGHT_CONFIGS)) {
    if (entry.path().extension() != ".yaml") continue;
    const std::string text = whole(entry.path());
    const std::string mark = "$schema=";
    const auto named = text.find(mark);
    if (named == std::string::npos) {
      EXPECT_TRUE(text.find("\nstudy:") == std::string::npos) << entry.path() << " names no schema";
      continue;
    }
    ++studies;
    const std::string file = text.substr(named + mark.size(), text.find('\n', named) - named - mark.size());
    EXPECT_TRUE(fs::equivalent(entry.path().parent_path() / file, fs::path(OVERNIGHT_CONFIGS) / "study.schema.json"));
    EXPECT_EQ(checker.faults(json_of(text)), "") << entry.path();
    const auto parsed = parse_study(text, entry.path());
    EXPECT_TRUE(parsed) << words_of(parsed.error());
  }
  EXPECT_GE(studies, 4);
}

}  // namespace
}  // namespace overnight::study
