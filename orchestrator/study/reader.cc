#include "orchestrator/study/reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace overnight::study {
namespace {

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

std::string nearest(const std::string& key, const std::set<std::string>& known) {
  std::string best;
  std::size_t least = key.size() / 2 + 1;
  for (const std::string& candidate : known) {
    const std::size_t d = distance(key, candidate);
    if (d < least) least = d, best = candidate;
  }
  return best;
}

std::string list_of(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

void Errors::add(const YAML::Node& at, const std::string& path, const std::string& explain) {
  const YAML::Mark mark = at.IsDefined() ? at.Mark() : YAML::Mark::null_mark();
  all.push_back({file_, mark.line < 0 ? 0 : mark.line + 1, mark.column < 0 ? 0 : mark.column + 1, path, explain});
}

std::string scalar_of(const YAML::Node& node) { return node.IsScalar() ? node.Scalar() : ""; }

core::ParamValue value_of(const YAML::Node& node) {
  const std::string text = scalar_of(node);
  if (node.Tag() == "!") return text;  // quoted
  if (text == "true" || text == "false") return text == "true";
  std::int64_t whole = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), whole);
  if (error == std::errc() && end == text.data() + text.size()) return whole;
  double real = 0;
  const auto [real_end, real_error] = std::from_chars(text.data(), text.data() + text.size(), real);
  if (real_error == std::errc() && real_end == text.data() + text.size() && std::isfinite(real)) return real;
  return text;
}

std::optional<std::vector<std::string>> split_command(const std::string& line) {
  std::vector<std::string> words;
  std::string word;
  bool inside = false;
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else if (c == '\\' && quote == '"' && i + 1 < line.size()) {
        word.push_back(line[++i]);
      } else {
        word.push_back(c);
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
      inside = true;
    } else if (c == '\\' && i + 1 < line.size()) {
      word.push_back(line[++i]);
      inside = true;
    } else if (c == ' ' || c == '\t' || c == '\n') {
      if (inside) words.push_back(word);
      word.clear();
      inside = false;
    } else {
      word.push_back(c);
      inside = true;
    }
  }
  if (quote != 0) return std::nullopt;
  if (inside) words.push_back(word);
  return words;
}

Section::Section(Errors& errors, const YAML::Node& node, std::string path)
    : errors_(errors), node_(node), path_(std::move(path)) {
  if (!node_.IsMap()) {
    errors_.add(node_, path_, "must be a mapping of keys to values");
    return;
  }
  valid_ = true;
  for (const auto& pair : node_) {
    const std::string key = scalar_of(pair.first);
    if (!values_.emplace(key, pair.second).second) errors_.add(pair.first, path_of(key), "stands here twice; keep one");
    keys_[key] = pair.first;
  }
}

std::optional<YAML::Node> Section::take(const std::string& key) {
  known_.insert(key);
  const auto found = values_.find(key);
  if (found == values_.end() || found->second.IsNull()) return std::nullopt;
  return found->second;
}

std::optional<Section> Section::section(const std::string& key) {
  const auto node = take(key);
  if (!node) return std::nullopt;
  Section made(errors_, *node, path_of(key));
  if (!made.valid()) return std::nullopt;
  return made;
}

void Section::error(const std::string& key, const std::string& explain) {
  const auto found = values_.find(key);
  errors_.add(found == values_.end() ? node_ : found->second, path_of(key), explain);
}

bool Section::text(const std::string& key, std::string& out) {
  const auto node = take(key);
  if (!node) return false;
  if (!node->IsScalar()) {
    error(key, "must be a text");
    return true;
  }
  out = node->Scalar();
  return true;
}

bool Section::texts(const std::string& key, std::vector<std::string>& out) {
  const auto node = take(key);
  if (!node) return false;
  if (!node->IsSequence()) {
    error(key, "must be a list of texts, like [a, b]");
    return true;
  }
  for (const auto& item : *node) {
    if (item.IsScalar()) {
      out.push_back(item.Scalar());
    } else {
      errors_.add(item, path_of(key), "must be a list of texts, like [a, b]");
    }
  }
  return true;
}

bool Section::boolean(const std::string& key, bool& out) {
  std::string text;
  if (!this->text(key, text)) return false;
  if (text != "true" && text != "false") error(key, "\"" + text + "\" is neither true nor false");
  out = text == "true";
  return true;
}

bool Section::real(const std::string& key, double& out) {
  const auto node = take(key);
  if (!node) return false;
  const core::ParamValue value = value_of(*node);
  if (const auto* real = std::get_if<double>(&value)) {
    out = *real;
  } else if (const auto* whole = std::get_if<std::int64_t>(&value)) {
    out = static_cast<double>(*whole);
  } else {
    error(key, "\"" + scalar_of(*node) + "\" is not a number");
  }
  return true;
}

bool Section::whole(const std::string& key, std::int64_t& out, std::int64_t low, std::int64_t high) {
  const auto node = take(key);
  if (!node) return false;
  const core::ParamValue value = value_of(*node);
  const auto* whole = std::get_if<std::int64_t>(&value);
  if (whole == nullptr || *whole < low || *whole > high) {
    error(key, "\"" + scalar_of(*node) + "\" is not a whole number from " + std::to_string(low) + " to " +
                   std::to_string(high));
  } else {
    out = *whole;
  }
  return true;
}

bool Section::quantity(const std::string& key,
                       const std::function<std::optional<std::int64_t>(const std::string&)>& parse,
                       const std::string& example, const std::function<void(std::int64_t)>& set) {
  std::string text;
  if (!this->text(key, text)) return false;
  const auto value = parse(text);
  if (!value) {
    error(key, "\"" + text + "\" cannot be read; write it like " + example);
  } else {
    set(*value);
  }
  return true;
}

void Section::not_yet(const std::string& key, const std::string& what) {
  if (take(key)) error(key, what + " is not available yet in this version; leave it out");
}

void Section::require(const std::string& key) {
  if (!take(key)) errors_.add(node_, path_of(key), "is missing");
}

void Section::finish() {
  if (!valid_) return;
  for (const auto& [key, node] : keys_) {
    if (known_.contains(key)) continue;
    const std::string close = nearest(key, known_);
    errors_.add(
        node, path_of(key),
        "is not a key here; " + (close.empty() ? "known are: " + list_of(known_) : "did you mean \"" + close + "\"?"));
  }
}

}  // namespace overnight::study
