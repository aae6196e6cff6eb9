// Reads mappings strictly: every key is taken once or reported, every error has its place. Private to
// orchestrator/study.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "orchestrator/study/document.h"
#include "orchestrator/study/quantities.h"

namespace overnight::study {

// One mapping. What is taken is known; `finish` reports the keys that nobody took, with the nearest known one.
class Section {
 public:
  Section(Errors& errors, const Node& node, std::string path);

  bool valid() const { return valid_; }
  Errors& errors() const { return errors_; }
  const Node& node() const { return node_; }
  std::string path_of(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }
  const std::vector<Node::Entry>& entries() const { return node_.entries; }

  // The value of `key`; none if it is not there, or empty (which is reported).
  const Node* take(const std::string& key);
  std::optional<Section> section(const std::string& key);

  // Each reads `key` into `out` if it is there and well formed, reports it otherwise and leaves `out` alone. True if it
  // was read.
  bool text(const std::string& key, std::string& out);
  bool texts(const std::string& key, std::vector<std::string>& out);
  bool boolean(const std::string& key, bool& out);
  bool real(const std::string& key, double& out);
  bool whole(const std::string& key, std::int64_t& out, std::int64_t low, std::int64_t high);
  bool choice(const std::string& key, std::string& out, const std::vector<std::string>& among);

  enum class Zero { refused, allowed };
  bool quantity(const std::string& key, Read (*parse)(const std::string&), Zero zero,
                const std::function<void(std::int64_t)>& set);

  void not_yet(const std::string& key, const std::string& what);  // a key that DESIGN has and this version does not do
  bool require(const std::string& key);                           // false and reported if it is missing

  void error(const std::string& key, const std::string& explain);
  void finish();

 private:
  Errors& errors_;
  const Node& node_;
  std::string path_;
  bool valid_ = false;
  std::set<std::string> known_, later_;
};

// A scalar as YAML means it: 3 is an integer, 3e-4 a number, true a truth value, "3" a text.
core::ParamValue value_of(const Node& node);
// A mapping of names to such scalars (a baseline, a listed point); none if a value is missing or no scalar (reported).
std::optional<core::Params> params_of(Section& section);

bool good_name(const std::string& name);  // letters, digits, '_', '-', '.', at most 64, begins with a letter or '_'
inline constexpr const char* name_rule =
    "a name has letters, digits, '_', '-' and '.', at most 64, and begins with a letter or '_'";

// The nearest of `known`, in a form that ends a sentence: `did you mean "low"?`, or the list of them all.
std::string suggestion(const std::string& name, const std::set<std::string>& known);

}  // namespace overnight::study
