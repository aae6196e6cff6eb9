#include "orchestrator/cli/verbs.h"

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "orchestrator/cli/terminal.h"

namespace overnight::cli {

std::filesystem::path Common::home() const {
  if (!home_option.empty()) return home_option;
  if (const char* named = std::getenv("OVERNIGHT_HOME"); named != nullptr && *named != '\0') return named;
  return ".overnight";
}

void suggest_verb(const CLI::App& app, int argc, const char* const* argv) {
  std::vector<std::string> verbs;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; }))
    verbs.push_back(verb->get_name());
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--home") ++i;  // its value is no verb
    if (word.starts_with("-")) continue;
    const bool known = std::find(verbs.begin(), verbs.end(), word) != verbs.end();
    const std::string near = known ? "" : nearest(word, verbs);
    if (!near.empty()) std::cerr << "did you mean \"" << near << "\"?\n";
    return;
  }
}

int refuse(int code, const std::string& why) {
  std::cerr << "overnight: " << why << "\n";
  return code;
}

}  // namespace overnight::cli
