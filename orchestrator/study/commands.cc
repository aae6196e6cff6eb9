#include "orchestrator/study/commands.h"

#include <algorithm>

#include "orchestrator/study/sections.h"
#include "workers/protocol/pattern.h"

namespace overnight::study {
namespace {

constexpr std::size_t words_max = 1000;  // of one command; what is longer belongs into a file

// How many capturing groups a pattern has that is known to compile.
int groups_in(const std::string& pattern) {
  int groups = 0;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\') {
      ++i;
    } else if (pattern[i] == '[') {  // "]" right behind "[" or "[^" is a byte like others
      i += pattern.compare(i, 2, "[^") == 0 ? 2 : 1;
      for (bool first = true; i < pattern.size() && (first || pattern[i] != ']'); first = false, ++i) {
        if (pattern[i] == '\\') ++i;
      }
    } else if (pattern[i] == '(' && pattern.compare(i, 3, "(?:") != 0) {
      ++groups;
    }
  }
  return groups;
}

// What stands between braces must be a name of ours.
void check_one(Section& phase, const std::string& name, const core::Space& space) {
  static const std::vector<std::string> known{"experiment", "params", "seed", "artifacts"};
  if (std::find(known.begin(), known.end(), name) != known.end()) return;
  if (name.starts_with("p.")) {
    if (space.find(name.substr(2)) != nullptr) return;
    std::set<std::string> names;
    for (const core::Dimension& dimension : space.dimensions) names.insert(dimension.name);
    phase.error("command",
                shown("{" + name + "}") + " names no parameter of the space; " + suggestion(name.substr(2), names));
    return;
  }
  phase.error("command",
              shown("{" + name + "}") +
                  " stands for nothing; known are {experiment} {params} {p.NAME} {seed} {artifacts} {study}, and {{ "
                  "and }} for braces");
}

}  // namespace

std::optional<std::vector<std::string>> split_command(const std::string& line) {
  std::vector<std::string> words;
  std::string word;
  bool inside = false;
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const bool escapes =
        c == '\\' && quote != '\'' && i + 1 < line.size() && (quote == 0 || line[i + 1] == '"' || line[i + 1] == '\\');
    if (quote != 0 && c == quote) {
      quote = 0;
    } else if (escapes) {
      word.push_back(line[++i]);
      inside = true;
    } else if (quote != 0) {
      word.push_back(c);
    } else if (c == '\'' || c == '"') {
      quote = c;
      inside = true;
    } else if (c == ' ' || c == '\t' || c == '\n') {
      if (inside) words.push_back(std::move(word));
      word.clear();
      inside = false;
    } else {
      word.push_back(c);
      inside = true;
    }
  }
  if (quote != 0) return std::nullopt;
  if (inside) words.push_back(std::move(word));
  return words;
}

std::string with_study_folder(std::string text, const std::filesystem::path& folder, bool braces) {
  const std::string name = "{study}";
  std::string path = absolute_path(folder, ".");
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  if (braces) {
    std::string doubled;
    for (const char c : path) doubled += c == '{' || c == '}' ? std::string(2, c) : std::string(1, c);
    path = doubled;
  }
  for (std::size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + path.size())) {
    if (braces && at > 0 && text[at - 1] == '{') {  // "{{study}}" are braces
      ++at;
      continue;
    }
    text.replace(at, name.size(), path);
  }
  return text;
}

std::vector<std::string> read_command(Section& section, const std::filesystem::path& folder) {
  std::vector<std::string> command;
  if (!section.require("command")) return command;
  const Node* node = section.take("command");
  if (node == nullptr) return command;
  if (node->is_scalar()) {
    const auto words = split_command(node->text);
    if (!words) {
      section.error("command", "a quote is not closed; close it, or write the command as a list");
      return command;
    }
    command = *words;
  } else if (!section.texts("command", command)) {
    return command;
  }
  for (std::string& word : command) word = with_study_folder(std::move(word), folder, true);
  if (command.empty() || command.front().empty())
    section.error("command", "is empty; write the program and its arguments, like [python3, train.py, \"{params}\"]");
  if (command.size() > words_max)
    section.error("command", "has more than " + std::to_string(words_max) + " words; put them into a script");
  return command;
}

void check_substitutions(Section& phase, const std::vector<std::string>& command, const core::Space& space) {
  for (const std::string& argument : command) {
    for (std::size_t i = 0; i < argument.size(); ++i) {
      const char c = argument[i];
      if ((c == '{' || c == '}') && i + 1 < argument.size() && argument[i + 1] == c) {
        ++i;
        continue;
      }
      const std::size_t close = c == '{' ? argument.find('}', i) : std::string::npos;
      if (close == std::string::npos) continue;
      check_one(phase, argument.substr(i + 1, close - i - 1), space);
      i = close;
    }
  }
}

void check_pattern(Section& section, const std::string& key, const std::string& pattern, const std::string& example) {
  if (const auto compiled = workers::Pattern::compile(pattern); !compiled) {
    section.error(key, shown(pattern) + " is no pattern: " + compiled.error().explain + "; write one like " + example);
    return;
  }
  const int groups = groups_in(pattern);
  if (groups == 0)
    section.error(key,
                  shown(pattern) + " has no group; put the part that is the value in parentheses, like " + example);
  if (groups > 1)
    section.error(key, shown(pattern) + " has " + std::to_string(groups) +
                           " groups; one is the value, write (?: ) for the others, like " + example);
}

}  // namespace overnight::study
