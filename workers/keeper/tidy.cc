#include "workers/keeper/tidy.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <memory>
#include <set>

#include "workers/keeper/folders.h"
#include "workers/keeper/metrics_file.h"
#include "workers/protocol/names.h"

#include <dirent.h>

namespace overnight::workers {
namespace {

std::set<std::string> names_of_records() {
  std::set<std::string> names{"order.json", "experiment.json", "receipt.json",      "keeper.log",
                              "keeper.pid", "metrics.jsonl",   "last-metrics.jsonl"};
  for (const Phase phase : {Phase::build, Phase::train, Phase::evaluate}) {
    names.insert(std::string(name_of(phase)) + ".stdout.log");
    names.insert(std::string(name_of(phase)) + ".stderr.log");
  }
  return names;
}

// A record is a plain file; a task may have put something else under its name, or let its metrics grow without end.
bool stays(int folder, const std::string& name, const std::set<std::string>& records) {
  struct stat status {};
  if (::fstatat(folder, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return true;
  if (name == "artifacts") return S_ISDIR(status.st_mode);
  if (!records.contains(name) || !S_ISREG(status.st_mode)) return false;
  return !name.ends_with("metrics.jsonl") || status.st_size <= MetricsFile::bytes_max;
}

}  // namespace

bool tidy(const std::string& attempt_folder) {
  const Descriptor folder = open_unlocked(AT_FDCWD, attempt_folder.c_str());
  struct stat status {};
  if (folder && ::fstat(folder.get(), &status) == 0) ::fchmod(folder.get(), (status.st_mode & 0777) | 0700);
  const int copy = folder ? ::fcntl(folder.get(), F_DUPFD_CLOEXEC, 3) : -1;
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(copy < 0 ? nullptr : ::fdopendir(copy), ::closedir);
  if (!listing) return false;
  const auto records = names_of_records();
  std::set<std::string> going;
  while (const dirent* entry = ::readdir(listing.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != ".." && !stays(folder.get(), name, records)) going.insert(name);
  }
  bool all = true;
  for (const auto& name : going) all = remove_tree(folder.get(), name.c_str()) && all;
  return all;
}

}  // namespace overnight::workers
