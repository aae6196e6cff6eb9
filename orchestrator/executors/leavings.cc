#include "orchestrator/executors/leavings.h"

#include <set>
#include <string>

#include "orchestrator/executors/keeper_process.h"

namespace overnight::executors {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t record_bytes_max = 256 << 20;  // more than logs may have by default

// Whether something lies in the folder that no well-behaved task leaves there.
bool has_litter(const fs::path& folder) {
  static const std::set<std::string> usual{"order.json", "experiment.json", "receipt.json", "keeper.log",
                                           "keeper.pid", "artifacts",       "work",         "home",
                                           "tmp",        "evaluate"};
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder, failed)) {
    const std::string name = entry.path().filename().string();
    const bool record = name.ends_with(".log") || name.ends_with("metrics.jsonl");
    const bool good_record = record && entry.symlink_status(failed).type() == fs::file_type::regular &&
                             entry.file_size(failed) <= record_bytes_max;
    if (record ? !good_record : !usual.contains(name)) return true;
  }
  return bool(failed);
}

}  // namespace

void remove_leavings(const fs::path& keeper, const fs::path& folder) {
  std::error_code failed;
  for (const char* part : {"work", "home", "tmp", "evaluate"}) {
    if (!failed) fs::remove_all(folder / part, failed);
  }
  if (failed || has_litter(folder)) tidy_folder(keeper, folder);
}

}  // namespace overnight::executors
