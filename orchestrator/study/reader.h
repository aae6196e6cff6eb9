// Walks a YAML document strictly: every key is taken once or reported, every error has its place. Private to
// orchestrator/study.
#pragma once

#include <yaml-cpp/yaml.h>

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "orchestrator/study/parse.h"

namespace overnight::study {

class Errors {
 public:
  explicit Errors(std::string file) : file_(std::move(file)) {}
  void add(const YAML::Node& at, const std::string& path, const std::string& explain);
  void add_whole(const std::string& explain) { all.push_back({file_, 0, 0, "", explain}); }

  std::vector<StudyError> all;

 private:
  std::string file_;
};

// One mapping. Its destructor does nothing; `finish` reports the keys that nobody took.
class Section {
 public:
  Section(Errors& errors, const YAML::Node& node, std::string path);

  bool valid() const { return valid_; }
  const std::string& path() const { return path_; }
  std::string path_of(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }
  const YAML::Node& node() const { return node_; }

  // The value of `key`, if it is there; it counts as known.
  std::optional<YAML::Node> take(const std::string& key);
  std::optional<Section> section(const std::string& key);

  // Each reads `key` into `out` if it is there and well formed; reports it otherwise. True if it was there.
  bool text(const std::string& key, std::string& out);
  bool texts(const std::string& key, std::vector<std::string>& out);
  bool boolean(const std::string& key, bool& out);
  bool real(const std::string& key, double& out);
  bool whole(const std::string& key, std::int64_t& out, std::int64_t low, std::int64_t high);
  bool quantity(const std::string& key, const std::function<std::optional<std::int64_t>(const std::string&)>& parse,
                const std::string& example, const std::function<void(std::int64_t)>& set);
  // A key that DESIGN has and this version does not do.
  void not_yet(const std::string& key, const std::string& what);
  void require(const std::string& key);

  void error(const std::string& key, const std::string& explain);
  void finish();  // unknown keys, with the nearest known one

  const std::map<std::string, YAML::Node>& all() const { return values_; }

 private:
  Errors& errors_;
  YAML::Node node_;
  std::string path_;
  bool valid_ = false;
  std::map<std::string, YAML::Node> values_;
  std::map<std::string, YAML::Node> keys_;
  std::set<std::string> known_;
};

std::string scalar_of(const YAML::Node& node);  // "" if it is no scalar

// A scalar as YAML means it: 3 is an integer, 3e-4 a number, "3" a text.
core::ParamValue value_of(const YAML::Node& node);

// Splits a command line as a shell does with blanks and quotes, and nothing else; none if a quote is left open.
std::optional<std::vector<std::string>> split_command(const std::string& line);

}  // namespace overnight::study
