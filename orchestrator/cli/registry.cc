#include "orchestrator/cli/registry.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
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

// Where others register, for root, who may halt them. A folder that anybody could have made is believed only if it
// belongs to the user whose name it bears.
std::vector<fs::path> places_of_others() {
  std::vector<fs::path> found;
  if (getuid() != 0 || std::getenv("OVERNIGHT_REGISTRY")) return found;
  std::error_code ignored;
  for (const auto& user : fs::directory_iterator("/run/user", ignored)) found.push_back(user.path() / "overnight");
  const std::string head = "overnight-";
  for (const auto& entry : fs::directory_iterator("/tmp", ignored)) {
    const std::string name = entry.path().filename().string();
    struct stat info {};
    if (name.starts_with(head) && lstat(entry.path().c_str(), &info) == 0 && S_ISDIR(info.st_mode) &&
        name.substr(head.size()) == std::to_string(info.st_uid) && info.st_uid != 0)
      found.push_back(entry.path());
  }
  return found;
}

}  // namespace

Registration::Registration(const std::string& uuid, const fs::path& home) {
  for (const fs::path& folder : candidates()) {
    std::error_code failed;
    fs::create_directories(folder, failed);
    struct stat info {};
    if (lstat(folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) || (info.st_uid != getuid() && info.st_uid != 0))
      continue;  // somebody else's, or a link to somewhere
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
  std::vector<fs::path> places = candidates();
  for (fs::path& other : places_of_others()) {
    if (std::find(places.begin(), places.end(), other) == places.end()) places.push_back(std::move(other));
  }
  for (const fs::path& folder : places) {
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
