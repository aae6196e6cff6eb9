#include "orchestrator/study/parse.h"

#include <unistd.h>

#include <yaml-cpp/eventhandler.h>
#include <algorithm>
#include <sstream>

#include "orchestrator/study/sections.h"

namespace overnight::study {
namespace {

namespace fs = std::filesystem;

// Looks through the raw events for what nodes no longer show: aliases, anchors, depth.
class Events final : public YAML::EventHandler {
 public:
  explicit Events(std::vector<StudyError>& errors, std::string file) : errors_(errors), file_(std::move(file)) {}
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { check(mark, anchor); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    complain(mark, "aliases (*name) are not allowed; write the value out");
  }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, const std::string&) override {
    check(mark, anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, anchor);
  }
  void OnSequenceEnd() override { --depth_; }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, anchor);
  }
  void OnMapEnd() override { --depth_; }
  void OnAnchor(const YAML::Mark&, const std::string&) override {}

 private:
  void complain(const YAML::Mark& mark, const std::string& why) {
    errors_.push_back({file_, mark.line + 1, mark.column + 1, "", why});
  }
  void check(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != 0) complain(mark, "anchors (&name) are not allowed; write the value out");
  }
  void open(const YAML::Mark& mark, YAML::anchor_t anchor) {
    check(mark, anchor);
    if (++depth_ == study_depth_max)
      complain(mark, "nested deeper than " + std::to_string(study_depth_max) + " levels");
  }

  std::vector<StudyError>& errors_;
  std::string file_;
  int depth_ = 0;
};

std::vector<StudyError> raw_errors(const std::string& text, const std::string& file) {
  std::vector<StudyError> errors;
  if (text.size() > study_bytes_max) return {{file, 0, 0, "", "is larger than 1 MiB; a study is written by hand"}};
  try {
    std::istringstream in(text);
    YAML::Parser parser(in);
    Events events(errors, file);
    if (!parser.HandleNextDocument(events)) errors.push_back({file, 0, 0, "", "is empty"});
    if (errors.empty() && parser.HandleNextDocument(events))
      errors.push_back({file, 0, 0, "", "holds more than one document; a study is one"});
  } catch (const YAML::Exception& error) {
    errors.push_back({file, error.mark.line + 1, error.mark.column + 1, "", "is not YAML: " + error.msg});
  }
  return errors;
}

// Puts one override into the document: "budgets.run.wall=1h".
void override_one(YAML::Node root, const std::string& text, Errors& errors) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    errors.all.push_back({"--set", 0, 0, text, "is not of the form key=value, like budgets.run.wall=1h"});
    return;
  }
  try {
    const YAML::Node value = YAML::Load(text.substr(equals + 1));
    std::vector<std::string> keys;
    std::istringstream path(text.substr(0, equals));
    for (std::string key; std::getline(path, key, '.');) keys.push_back(key);
    YAML::Node at = root;
    for (std::size_t i = 0; i + 1 < keys.size(); ++i) {
      if (at[keys[i]].IsDefined() && !at[keys[i]].IsMap()) {
        errors.all.push_back({"--set", 0, 0, text, "\"" + keys[i] + "\" has no keys of its own"});
        return;
      }
      at.reset(at[keys[i]]);
    }
    at[keys.back()] = value;
  } catch (const YAML::Exception& error) {
    errors.all.push_back({"--set", 0, 0, text, "the value is not YAML: " + error.msg});
  }
}

std::vector<StudyError> warnings_of(const core::Study& study, const std::string& file) {
  std::vector<StudyError> warnings;
  const auto warn = [&](const std::string& path, const std::string& why) {
    warnings.push_back({file, 0, 0, path, why});
  };
  if (study.baseline.empty())
    warn("baseline",
         "is missing: nothing can be called a gain, and no canary can tell a bad machine from bad proposals");
  if (study.task.seed.kind == core::SeedDelivery::Kind::none) {
    const auto uses = [](const std::vector<std::string>& command) {
      return std::any_of(command.begin(), command.end(), [](const std::string& word) {
        return word.find("{seed}") != std::string::npos || word.find("{experiment}") != std::string::npos;
      });
    };
    if (!uses(study.task.train.command))
      warn("task.seed",
           "is missing and no argument holds {seed} or {experiment}: repeats show rerun noise only, not the spread "
           "over seeds");
  }
  const bool bounded = !study.run_budget.wall.is_unlimited() || !study.run_budget.until.empty() ||
                       !study.run_budget.experiments.is_unlimited() || !study.run_budget.slot_time.is_unlimited();
  if (!bounded)
    warn("budgets.run",
         "has neither wall, until, experiments nor slot_time: this run ends only when the proposers have nothing more "
         "or somebody stops it");
  if (!study.task.evaluate)
    warn("task.evaluate", "is missing: scores are self-reported by the training process, and marked so everywhere");
  return warnings;
}

}  // namespace

std::string StudyError::text() const {
  std::string out = file;
  if (line > 0) out += ":" + std::to_string(line) + ":" + std::to_string(column);
  return out + ": " + (path.empty() ? "" : path + ": ") + explain;
}

bool good_name(const std::string& name) {
  if (name.empty() || name.size() > 64 || !(std::isalpha(static_cast<unsigned char>(name[0])) || name[0] == '_'))
    return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.';
  });
}

void read_objective(Section& study, core::Study& out) {
  study.require("objective");
  auto objective = study.section("objective");
  if (!objective) return;
  objective->require("metric");
  objective->text("metric", out.objective.metric);
  if (!out.objective.metric.empty() && !good_name(out.objective.metric))
    objective->error("metric", "has letters, digits, '_', '-' and '.', and begins with a letter");
  std::string direction;
  objective->require("direction");
  objective->text("direction", direction);
  if (direction != "minimize" && direction != "maximize")
    objective->error("direction", "\"" + direction + "\" is neither minimize nor maximize");
  out.objective.direction = direction == "maximize" ? core::Direction::maximize : core::Direction::minimize;
  if (objective->real("minimum_effect", out.objective.minimum_effect) && out.objective.minimum_effect < 0)
    objective->error("minimum_effect", "must not be negative");
  objective->finish();
}

budgets::Result<Parsed, std::vector<StudyError>> parse_study(const std::string& text, const fs::path& file,
                                                             const std::vector<std::string>& overrides) {
  if (auto raw = raw_errors(text, file.string()); !raw.empty()) return budgets::unexpected(std::move(raw));
  Errors errors(file.string());
  Parsed parsed;
  core::Study& out = parsed.study;
  try {
    const YAML::Node root = YAML::Load(text);
    if (!root.IsMap())
      return budgets::unexpected(std::vector<StudyError>{
          {file.string(), 1, 1, "", "a study is a mapping: study, objective, task, space, proposers, budgets"}});
    for (const std::string& one : overrides) override_one(root, one, errors);
    Section study(errors, root, "");
    study.require("study");
    study.text("study", out.name);
    if (!out.name.empty() && !good_name(out.name))
      study.error("study", "a name has letters, digits, '_', '-' and '.', at most 64, and begins with a letter");
    study.text("owner", out.owner);
    study.text("purpose", out.purpose);
    study.whole("seed", out.seed, 0, std::int64_t{1} << 53);
    read_objective(study, out);
    read_space(study, errors, out);
    read_baseline(study, errors, out);
    read_task(study, file.parent_path(), out);
    read_proposers(study, errors, out);
    read_budgets(study, out);
    read_evaluation(study, out);
    read_governor(study, out);
    read_executor(study, out);
    study.not_yet("objectives", "more than one objective");
    study.not_yet("constraints", "constraints");
    study.not_yet("guards", "guards");
    study.finish();
  } catch (const YAML::Exception& error) {
    errors.all.push_back({file.string(), error.mark.line + 1, error.mark.column + 1, "", error.msg});
  }
  if (!errors.all.empty()) {
    std::stable_sort(errors.all.begin(), errors.all.end(),
                     [](const StudyError& a, const StudyError& b) { return a.line < b.line; });
    return budgets::unexpected(std::move(errors.all));
  }
  parsed.warnings = warnings_of(out, file.string());
  return parsed;
}

}  // namespace overnight::study
