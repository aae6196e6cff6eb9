#include "orchestrator/study/parse.h"

#include <algorithm>

#include "orchestrator/study/sections.h"

namespace overnight::study {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t prose_max = 4096;  // bytes of owner and purpose: they stand in every report

void read_head(Section& study, core::Study& out) {
  study.require("study");
  if (study.text("study", out.name) && !good_name(out.name)) study.error("study", shown(out.name) + ": " + name_rule);
  for (const auto& [key, prose] : {std::pair{"owner", &out.owner}, std::pair{"purpose", &out.purpose}}) {
    if (study.text(key, *prose) && prose->size() > prose_max) study.error(key, "is longer than 4 KiB");
  }
  study.whole("seed", out.seed, 0, std::int64_t{1} << 53);
}

// An empty or broken document has no keys whose absence would be worth telling.
bool is_study(const Node& root, Errors& errors) {
  if (!errors.empty()) return false;
  if (root.is_mapping()) return true;
  errors.add(root.at, "",
             "is no study: a study is a mapping with study, objective, task, space, proposers and budgets");
  return false;
}

void read_all(Section& study, const fs::path& folder, const Surroundings& around, core::Study& out) {
  read_head(study, out);
  read_objective(study, out);
  const bool space_is_good = read_space(study, out);
  read_baseline(study, space_is_good, out);
  read_task(study, folder, out);
  read_proposers(study, folder, space_is_good, out);
  read_budgets(study, out);
  read_evaluation(study, out);
  read_governor(study, out);
  read_executor(study, out);
  read_notify(study, out);
  study.not_yet("objectives", "more than one objective is");
  study.not_yet("constraints", "constraints are");
  study.not_yet("guards", "guards are");
  study.finish();
  check_across(study, around.prices, out);
}

void put_places(const Node& node, const std::string& path, Places& places) {
  places.put(path, node.at.source ? *node.at.source : "", node.at.line, node.at.column);
  for (const Node::Entry& entry : node.entries)
    put_places(entry.value, path.empty() ? entry.key : path + "." + entry.key, places);
  for (std::size_t i = 0; i < node.items.size(); ++i)
    put_places(node.items[i], path + "[" + std::to_string(i) + "]", places);
}

// What could be read of it, with `errors` for the rest; nothing if it is no study at all.
std::optional<Parsed> read_study(const std::string& text, const fs::path& file,
                                 const std::vector<std::string>& overrides, const Surroundings& around,
                                 Errors& errors) {
  Node root = read_document(text, file.string(), errors);
  if (!is_study(root, errors)) return std::nullopt;
  if (around.site) {
    const Node site = read_document(*around.site, around.site_file.string(), errors);
    if (errors.empty()) merge_site(root, site, errors);
  }
  for (const std::string& one : overrides) override_one(root, one, errors);
  Section study(errors, root, "");
  if (!study.valid()) return std::nullopt;
  Parsed parsed;
  read_all(study, file.parent_path(), around, parsed.study);
  if (errors.empty()) parsed.warnings = warnings_of(parsed.study, root);
  put_places(root, "", parsed.places);
  return parsed;
}

// Something is wrong with this very value, or with what holds it: then what the machine says of it is no news.
bool is_told(const std::vector<StudyError>& errors, const std::string& path) {
  return std::any_of(errors.begin(), errors.end(), [&](const StudyError& error) {
    if (error.path.empty() || !path.starts_with(error.path)) return false;
    return path.size() == error.path.size() || path[error.path.size()] == '.' || path[error.path.size()] == '[';
  });
}

}  // namespace

std::string StudyError::text() const {
  std::string out = file;
  if (line > 0) out += ":" + std::to_string(line) + ":" + std::to_string(column);
  return out + ": " + (path.empty() ? "" : path + ": ") + explain;
}

void Places::put(const std::string& path, const std::string& file, int line, int column) {
  spots_.try_emplace(path, Spot{file, line, column});
}

void Places::locate(StudyError& finding) const {
  std::string path = finding.path;
  for (auto spot = spots_.find(path);; spot = spots_.find(path)) {
    if (spot != spots_.end()) {
      finding.file = spot->second.file, finding.line = spot->second.line, finding.column = spot->second.column;
      return;
    }
    if (path.empty()) return;
    const std::size_t end = path.find_last_of(".[");
    path.erase(end == std::string::npos ? 0 : end);
  }
}

void read_tradeoffs(Section& objective, core::Objective& out) {
  auto section = objective.section("tradeoffs");
  if (!section) return;
  for (const Node::Entry& entry : section->entries()) {
    std::string direction;
    if (!good_name(entry.key)) section->error(entry.key, name_rule);
    if (entry.key == out.metric) section->error(entry.key, "is the objective itself");
    if (section->choice(entry.key, direction, {"minimize", "maximize"}))
      out.tradeoffs[entry.key] = direction == "maximize" ? core::Direction::maximize : core::Direction::minimize;
  }
  if (out.tradeoffs.size() > core::tradeoffs_max)
    objective.error("tradeoffs", "are more than " + std::to_string(core::tradeoffs_max));
}

void read_objective(Section& study, core::Study& out) {
  study.require("objective");
  auto objective = study.section("objective");
  if (!objective) return;
  objective->require("metric");
  if (objective->text("metric", out.objective.metric) && !good_name(out.objective.metric))
    objective->error("metric", shown(out.objective.metric) + ": " + name_rule);
  std::string direction;
  objective->require("direction");
  objective->choice("direction", direction, {"minimize", "maximize"});
  out.objective.direction = direction == "maximize" ? core::Direction::maximize : core::Direction::minimize;
  if (objective->real("minimum_effect", out.objective.minimum_effect) && out.objective.minimum_effect < 0)
    objective->error("minimum_effect", "must not be negative; it is the smallest difference that matters");
  read_tradeoffs(*objective, out.objective);
  objective->not_yet("constraints", "constraints are");
  objective->not_yet("guards", "guards are");
  objective->finish();
}

KnownKeys known_keys(const std::string& text) {
  Errors errors;
  const Node root = read_document(text, "study.yaml", errors);
  core::Study ignored;
  Section study(errors, root, "");
  if (study.valid()) read_all(study, "/", {}, ignored);
  return errors.known();
}

budgets::Result<Parsed, std::vector<StudyError>> parse_study(const std::string& text, const fs::path& file,
                                                             const std::vector<std::string>& overrides,
                                                             const Surroundings& around) {
  Errors errors;
  auto parsed = read_study(text, file, overrides, around, errors);
  if (!errors.empty()) return budgets::unexpected(errors.take());
  return std::move(*parsed);
}

Findings read_study_here(const std::string& text, const fs::path& file, const std::vector<std::string>& overrides,
                         const Surroundings& around) {
  Errors errors;
  auto parsed = read_study(text, file, overrides, around, errors);
  Findings findings;
  findings.errors = errors.take();
  if (!parsed) return findings;
  findings.warnings = std::move(parsed->warnings);
  const std::vector<StudyError> of_text = findings.errors;
  const auto take = [&](std::vector<StudyError>& to, std::vector<StudyError> from) {
    for (StudyError& one : from) {
      if (!is_told(of_text, one.path)) to.push_back(std::move(one));
    }
  };
  MachineFindings here = check_machine(*parsed);
  take(findings.errors, std::move(here.errors));
  take(findings.warnings, std::move(here.warnings));
  if (findings.errors.empty()) findings.study = std::move(parsed->study);
  return findings;
}

}  // namespace overnight::study
