#include "orchestrator/cli/registry.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "orchestrator/store/home.h"

namespace overnight::cli {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> candidates() {
  if (const char* named = std::getenv("OVERNIGHT_REGISTRY")) return {named};
  std::vector<fs::path> found;
  if (const char* runtime = std::getenv("XDG_RUNTIME_DIR")) found.push_back(fs::path(runtime) / "overnight");
  found.push_back("/run/overnight");
  found.push_back("/tmp/overnight-" + std::to_string(getuid()));
  return found;
}

}  // namespace

Registration::Registration(const std::string& uuid, const fs::path& home) {
  for (const fs::path& folder : candidates()) {
    std::error_code failed;
    fs::create_directories(folder, failed);
    std::ofstream out(folder / uuid);
    if (!out) continue;
    out << fs::absolute(home).string() << "\n";
    file_ = folder / uuid;
    return;
  }
}

Registration::~Registration() {
  std::error_code ignored;
  if (!file_.empty()) fs::remove(file_, ignored);
}

std::string registry_places() {
  std::string places;
  for (const fs::path& folder : candidates()) places += (places.empty() ? "" : ", ") + folder.string();
  return places;
}

std::vector<fs::path> registered_homes() {
  std::vector<fs::path> homes;
  for (const fs::path& folder : candidates()) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder, ignored)) {
      std::ifstream in(entry.path());
      std::string line;
      if (!std::getline(in, line) || line.empty()) continue;
      // An orchestrator that was killed leaves its entry behind: its home is not live, and not ours to latch.
      const auto holder = store::HomeLock::holder(store::HomePaths(line));
      if (holder && !*holder) {
        fs::remove(entry.path(), ignored);
      } else {
        homes.emplace_back(line);
      }
    }
  }
  return homes;
}

}  // namespace overnight::cli
