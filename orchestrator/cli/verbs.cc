#include <cstdlib>
#include <iostream>

#include "orchestrator/cli/verbs.h"

namespace overnight::cli {

std::filesystem::path Common::home() const {
  if (!home_option.empty()) return home_option;
  if (const char* named = std::getenv("OVERNIGHT_HOME"); named != nullptr && *named != '\0') return named;
  return ".overnight";
}

int refuse(int code, const std::string& why) {
  std::cerr << "overnight: " << why << "\n";
  return code;
}

}  // namespace overnight::cli
