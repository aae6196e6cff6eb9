#include "workers/keeper/cgroups.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

namespace overnight::workers {
namespace {

constexpr std::string_view group_prefix = "overnight-";

bool write_text(const std::string& path, const std::string& text) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// "name 12" lines, as in memory.events; 0 if there is none.
std::int64_t counter(const std::string& path, const std::string& name) {
  std::istringstream lines(read_text(path));
  std::string key;
  std::int64_t value = 0;
  while (lines >> key >> value) {
    if (key == name) return value;
  }
  return 0;
}

std::int64_t number_in(const std::string& path) {
  std::int64_t value = 0;
  std::istringstream(read_text(path)) >> value;
  return value;
}

struct Mount {
  std::string root;
  std::string point;
};

// Controller ("memory", "pids", or "" for cgroup2) to where its hierarchy is mounted.
std::map<std::string, Mount> cgroup_mounts(const std::string& mountinfo) {
  std::map<std::string, Mount> mounts;
  std::istringstream file(mountinfo);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string id, parent, device, root, point, word, type, source, options;
    words >> id >> parent >> device >> root >> point;
    while (words >> word && word != "-") {
    }
    words >> type >> source >> options;
    if (type == "cgroup2") mounts[""] = {root, point};
    if (type != "cgroup") continue;
    std::istringstream names(options);
    for (std::string name; std::getline(names, name, ',');) {
      if (name == "memory" || name == "pids") mounts[name] = {root, point};
    }
  }
  return mounts;
}

// A group can be made here and has `file` in it.
bool can_make(const std::string& place, const std::string& file) {
  const std::string trial = place + "/overnight-probe-" + std::to_string(::getpid());
  if (::mkdir(trial.c_str(), 0755) != 0) return false;
  const bool usable = ::access((trial + "/" + file).c_str(), W_OK) == 0 &&
                      ::access((trial + "/cgroup.procs").c_str(), W_OK) == 0 &&
                      ::access((place + "/cgroup.procs").c_str(), W_OK) == 0;
  ::rmdir(trial.c_str());
  return usable;
}

}  // namespace

std::map<std::string, std::string> groups_of(const std::string& mountinfo, const std::string& cgroup) {
  const auto mounts = cgroup_mounts(mountinfo);
  std::map<std::string, std::string> own;
  std::istringstream file(cgroup);
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string whole = line.substr(second + 1);
    if (!whole.starts_with('/')) continue;
    std::istringstream names(line.substr(first + 1, second - first - 1) + ",");
    for (std::string name; std::getline(names, name, ',');) {
      const auto mount = mounts.find(name);
      if (mount == mounts.end()) continue;
      const std::string& root = mount->second.root;
      const bool below_root = root != "/" && whole.starts_with(root);
      const std::string path = below_root ? whole.substr(root.size()) : whole;
      own[name] = mount->second.point + (path == "/" ? "" : path);
    }
  }
  return own;
}

CgroupPlaces find_cgroup_places() {
  CgroupPlaces places;
  const auto own = groups_of(read_text("/proc/self/mountinfo"), read_text("/proc/self/cgroup"));
  const auto at = [&](const char* name) {
    const auto found = own.find(name);
    return found == own.end() ? std::string() : found->second;
  };
  const std::string v2 = at("");
  if (!v2.empty() && can_make(v2, "cgroup.kill")) places.kill = v2;
  if (!v2.empty() && can_make(v2, "memory.max")) {
    places.memory = v2;
    places.memory_is_v2 = true;
  } else if (const std::string v1 = at("memory"); !v1.empty() && can_make(v1, "memory.limit_in_bytes")) {
    places.memory = v1;
  }
  if (!v2.empty() && can_make(v2, "pids.max")) {
    places.pids = v2;
    places.pids_is_v2 = true;
  } else if (const std::string v1 = at("pids"); !v1.empty() && can_make(v1, "pids.max")) {
    places.pids = v1;
  }
  return places;
}

std::string group_name(std::int64_t pid) { return std::string(group_prefix) + std::to_string(pid); }

void remove_left_groups(const CgroupPlaces& places) {
  for (const std::string& place : std::set<std::string>{places.kill, places.memory, places.pids}) {
    std::error_code failed;  // others make and remove groups beside us: what cannot be read is left
    for (std::filesystem::directory_iterator entry(place, failed), end; !failed && entry != end;
         entry.increment(failed)) {
      const std::string name = entry->path().filename().string();
      const pid_t pid = name.starts_with(group_prefix) ? std::atoi(name.c_str() + group_prefix.size()) : 0;
      if (pid > 0 && ::kill(pid, 0) != 0 && errno == ESRCH) ::rmdir(entry->path().c_str());
    }
  }
}

AttemptGroups::AttemptGroups(const CgroupPlaces& places, const std::string& name, bool to_kill) {
  if (to_kill && !places.kill.empty()) kill_ = make(places.kill, name);
  if (!places.memory.empty()) memory_ = make(places.memory, name);
  if (!places.pids.empty()) pids_ = make(places.pids, name);
  memory_is_v2_ = places.memory_is_v2;
}

void AttemptGroups::limit(std::int64_t memory_bytes, std::int64_t tasks) {
  if (memory_bytes > 0 && !memory_.empty()) {
    const std::string limit = std::to_string(memory_bytes);
    memory_limited_ = write_text(memory_ + (memory_is_v2_ ? "/memory.max" : "/memory.limit_in_bytes"), limit);
    // Without swap a limit is a limit; where there is no swap accounting these files do not exist.
    write_text(memory_ + (memory_is_v2_ ? "/memory.swap.max" : "/memory.memsw.limit_in_bytes"),
               memory_is_v2_ ? "0" : limit);
    if (memory_is_v2_) write_text(memory_ + "/memory.oom.group", "1");
  }
  if (tasks > 0 && !pids_.empty()) tasks_limited_ = write_text(pids_ + "/pids.max", std::to_string(tasks));
}

AttemptGroups::~AttemptGroups() {
  for (const auto& group : made_) ::rmdir(group.c_str());
}

std::string AttemptGroups::make(const std::string& place, const std::string& name) {
  const std::string group = place + "/" + name;
  if (std::find(made_.begin(), made_.end(), group) != made_.end()) return group;
  ::rmdir(group.c_str());  // of a keeper that was killed and had our number; what is in use stays
  if (::mkdir(group.c_str(), 0755) != 0) return {};
  made_.push_back(group);
  Descriptor entry(::open((group + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
  if (!entry) return {};
  entries_.push_back(std::move(entry));
  return group;
}

std::vector<int> AttemptGroups::entries() const {
  std::vector<int> fds;
  for (const auto& entry : entries_) fds.push_back(entry.get());
  return fds;
}

void AttemptGroups::kill_all() const {
  if (!kill_.empty()) write_text(kill_ + "/cgroup.kill", "1");
}

std::int64_t AttemptGroups::oom_kills() const {
  if (!memory_limited_) return 0;
  return counter(memory_ + (memory_is_v2_ ? "/memory.events" : "/memory.oom_control"), "oom_kill");
}

std::int64_t AttemptGroups::refused_forks() const {
  return tasks_limited_ ? counter(pids_ + "/pids.events", "max") : 0;
}

std::int64_t AttemptGroups::memory_peak_bytes() const {
  return memory_limited_ ? number_in(memory_ + (memory_is_v2_ ? "/memory.peak" : "/memory.max_usage_in_bytes")) : 0;
}

}  // namespace overnight::workers
