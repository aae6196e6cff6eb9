#include "orchestrator/study/reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace overnight::study {
namespace {

constexpr std::size_t compared_max = 64;  // longer keys are no slips of a known one

// Levenshtein distance, for "did you mean".
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t before = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = before;
    }
  }
  return row[b.size()];
}

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

template <typename Number>
std::optional<Number> number_of(const std::string& text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

const char* kind_words(const Node& node) {
  switch (node.kind) {
    case Node::Kind::null:
      return "nothing";
    case Node::Kind::scalar:
      return "a single value";
    case Node::Kind::sequence:
      return "a list";
    case Node::Kind::mapping:
      return "a mapping";
  }
  return "";
}

}  // namespace

core::ParamValue value_of(const Node& node) {
  if (node.quoted) return node.text;
  if (node.text == "true" || node.text == "false") return node.text == "true";
  if (const auto whole = number_of<std::int64_t>(node.text)) return *whole;
  if (const auto real = number_of<double>(node.text); real && std::isfinite(*real)) return *real;
  return node.text;
}

std::optional<core::Params> params_of(Section& section) {
  core::Params params;
  bool good = true;
  for (const Node::Entry& entry : section.entries()) {
    if (const Node* value = section.take(entry.key); value == nullptr) {
      good = false;
    } else if (!value->is_scalar()) {
      section.error(entry.key, "must be a number, a text or a truth value");
      good = false;
    } else {
      params[entry.key] = value_of(*value);
    }
  }
  return good ? std::optional(params) : std::nullopt;
}

bool good_name(const std::string& name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (name.empty() || name.size() > 64 || !letter(name[0])) return false;
  return std::all_of(name.begin(), name.end(),
                     [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.'; });
}

std::string suggestion(const std::string& name, const std::set<std::string>& known) {
  std::string best, all;
  std::size_t least = name.size() / 2 + 1;
  for (const std::string& candidate : known) {
    all += (all.empty() ? "" : ", ") + candidate;
    const bool shortened = name.size() >= 3 && candidate.starts_with(name);  // "min" for "minimize"
    const std::size_t far = name.size() > compared_max ? least
                            : shortened                ? 0
                                                       : distance(lower(name), lower(candidate));
    if (far < least) least = far, best = candidate;
  }
  if (!best.empty()) return "did you mean \"" + best + "\"?";
  return all.empty() ? "nothing is known here" : "known are " + all;
}

Section::Section(Errors& errors, const Node& node, std::string path)
    : errors_(errors), node_(node), path_(std::move(path)), valid_(node.is_mapping()) {
  if (!valid_) {
    errors_.add(node_.at, path_, std::string("must be a mapping of keys to values, not ") + kind_words(node_));
    return;
  }
  std::map<std::string, int> lines;
  for (const Node::Entry& entry : node_.entries) {
    const auto [first, fresh] = lines.emplace(entry.key, entry.at.line);
    if (!fresh)
      errors_.add(entry.at, path_of(entry.key),
                  "stands here twice (also in line " + std::to_string(first->second) + "); keep one");
  }
}

const Node* Section::take(const std::string& key) {
  known_.insert(key);
  const Node* found = node_.find(key);
  if (found == nullptr || found->kind != Node::Kind::null) return found;
  error(key, "has no value; give one or leave the key out");
  return nullptr;
}

std::optional<Section> Section::section(const std::string& key) {
  const Node* node = take(key);
  if (node == nullptr) return std::nullopt;
  Section made(errors_, *node, path_of(key));
  if (!made.valid()) return std::nullopt;
  return made;
}

void Section::error(const std::string& key, const std::string& explain) {
  const Node* found = node_.find(key);
  errors_.add(found == nullptr ? node_.at : found->at, path_of(key), explain);
}

bool Section::text(const std::string& key, std::string& out) {
  const Node* node = take(key);
  if (node == nullptr) return false;
  if (!node->is_scalar()) {
    error(key, std::string("must be a single value, not ") + kind_words(*node));
    return false;
  }
  out = node->text;
  return true;
}

bool Section::texts(const std::string& key, std::vector<std::string>& out) {
  const Node* node = take(key);
  if (node == nullptr) return false;
  if (!node->is_sequence()) {
    error(key, std::string("must be a list of texts like [a, b], not ") + kind_words(*node));
    return false;
  }
  std::vector<std::string> read;
  for (const Node& item : node->items) {
    if (!item.is_scalar()) {
      errors_.add(item.at, path_of(key),
                  std::string("must be a list of texts like [a, b]; here stands ") + kind_words(item));
      return false;
    }
    read.push_back(item.text);
  }
  out = std::move(read);
  return true;
}

bool Section::boolean(const std::string& key, bool& out) {
  std::string word;
  if (!choice(key, word, {"true", "false"})) return false;
  out = word == "true";
  return true;
}

bool Section::real(const std::string& key, double& out) {
  std::string text;
  if (!this->text(key, text)) return false;
  const core::ParamValue value = value_of(*node_.find(key));
  if (const auto* real = std::get_if<double>(&value)) {
    out = *real;
  } else if (const auto* whole = std::get_if<std::int64_t>(&value)) {
    out = static_cast<double>(*whole);
  } else {
    error(key, shown(text) + " is not a number" + (node_.find(key)->quoted ? "; take the quotes away" : ""));
    return false;
  }
  return true;
}

bool Section::whole(const std::string& key, std::int64_t& out, std::int64_t low, std::int64_t high) {
  std::string text;
  if (!this->text(key, text)) return false;
  const core::ParamValue value = value_of(*node_.find(key));
  const auto* whole = std::get_if<std::int64_t>(&value);
  if (whole == nullptr || *whole < low || *whole > high) {
    error(key, shown(text) + " is not a whole number from " + std::to_string(low) + " to " + std::to_string(high) +
                   (node_.find(key)->quoted ? "; take the quotes away" : ""));
    return false;
  }
  out = *whole;
  return true;
}

bool Section::choice(const std::string& key, std::string& out, const std::vector<std::string>& among) {
  std::string word;
  if (!text(key, word)) return false;
  if (std::find(among.begin(), among.end(), word) == among.end()) {
    error(key, shown(word) + " is not known here; " + suggestion(word, {among.begin(), among.end()}));
    return false;
  }
  out = word;
  return true;
}

bool Section::quantity(const std::string& key, Read (*parse)(const std::string&), Zero zero,
                       const std::function<void(std::int64_t)>& set) {
  std::string text;
  if (!this->text(key, text)) return false;
  const Read value = parse(text);
  if (!value) {
    error(key, shown(text) + " " + value.error());
  } else if (*value == 0 && zero == Zero::refused) {
    error(key, shown(text) + " would allow nothing at all; for no limit leave the key out");
  } else {
    set(*value);
    return true;
  }
  return false;
}

void Section::not_yet(const std::string& key, const std::string& what) {
  later_.insert(key);
  if (node_.find(key) != nullptr) error(key, what + " not available yet in this version; leave the key out");
}

bool Section::require(const std::string& key) {
  known_.insert(key);
  if (node_.find(key) != nullptr) return true;
  errors_.add(node_.at, path_of(key), "is missing");
  return false;
}

void Section::finish() {
  if (!valid_) return;
  errors_.knows(path_, known_);
  for (const Node::Entry& entry : node_.entries) {
    if (!known_.contains(entry.key) && !later_.contains(entry.key))
      errors_.add(entry.at, path_of(entry.key), "is not a key here; " + suggestion(entry.key, known_));
  }
}

}  // namespace overnight::study
