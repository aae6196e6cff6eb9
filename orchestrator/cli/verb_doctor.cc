// doctor: what this machine is and what will really be enforced on it.
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "orchestrator/cli/exit_codes.h"
#include "orchestrator/cli/halts_on_disk.h"
#include "orchestrator/cli/terminal.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/executors/gpus.h"
#include "orchestrator/executors/slots.h"

namespace overnight::cli {
namespace {

using nlohmann::json;

std::int64_t memory_bytes() {
  std::ifstream in("/proc/meminfo");
  std::string name;
  std::int64_t kib = 0;
  in >> name >> kib;
  return kib * 1024;
}

// What the keeper says of this machine: it probes with the same code that it uses at night.
json probe(const std::filesystem::path& keeper) {
  const std::string command = "'" + keeper.string() + "' --probe 2>&1";
  std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::string text;
  std::array<char, 4096> chunk{};
  while (pipe && text.size() < 65536) {
    const std::size_t n = fread(chunk.data(), 1, chunk.size(), pipe.get());
    if (n == 0) break;
    text.append(chunk.data(), n);
  }
  return json::parse(text, nullptr, false);
}

// How process trees are held and killed here, from strong to weak. A machine that has less is used all the same, so
// what it lacks must be seen.
std::vector<std::string> containment_words(const json& keeper) {
  const auto limited = [&](const char* place, const std::string& otherwise) {
    const std::string folder = keeper.value(place, "");
    return folder.empty() ? otherwise + ", 5 times a second (no cgroup can be written here)" : "the cgroup " + folder;
  };
  const bool hidden = keeper.value("private_data_hidden", false);
  const std::string kill = keeper.value("cgroup_kill", "");
  return {"kill       process trees are killed by: " + keeper.value("kill_mechanism", "unknown") +
              (keeper.value("user_namespace", false) ? " (inside a user namespace)" : "") +
              (kill.empty() ? "; cgroup.kill cannot be written" : "; cgroup.kill in " + kill),
          "memory     of a task is limited by " + limited("cgroup_memory", "reading resident sizes"),
          "processes  of a task are limited by " + limited("cgroup_pids", "counting"),
          std::string("private    data of evaluate is ") +
              (hidden ? "hidden from training (own mounts, own /proc)"
                      : "NOT hidden from training: no mounts of its own can be made here")};
}

int doctor(const Common& common, bool as_json) {
  utsname system{};
  uname(&system);
  const auto cpus = executors::usable_cpus();
  const auto gpus = executors::find_gpus();
  const json keeper = probe(common.program.parent_path() / "overnight-worker");
  struct statvfs disk {};
  const std::filesystem::path where =
      std::filesystem::exists(common.home()) ? common.home() : std::filesystem::path(".");
  statvfs(where.c_str(), &disk);
  const auto free = static_cast<std::int64_t>(disk.f_bavail) * static_cast<std::int64_t>(disk.f_frsize);
  const std::string latch = latch_words(common.home(), std::nullopt);
  if (as_json) {
    json list = json::array();
    for (const auto& gpu : gpus.found)
      list.push_back({{"uuid", gpu.uuid}, {"name", gpu.name}, {"used_by", gpu.used_by}});
    std::cout << json{{"kernel", system.release},
                      {"user", getuid()},
                      {"cpus", cpus.size()},
                      {"memory_bytes", memory_bytes()},
                      {"disk_free_bytes", free},
                      {"gpus", list},
                      {"gpu_note", gpus.note},
                      {"latch", latch.empty() ? json(nullptr) : json(latch)},
                      {"containment", keeper.is_discarded() ? json(nullptr) : keeper}}
                     .dump(2, ' ', false, nlohmann::json::error_handler_t::replace)
              << "\n";
  } else {
    std::cout << "kernel     " << system.release << ", "
              << (getuid() == 0 ? "root" : "user " + std::to_string(getuid())) << "\n"
              << "cpus       " << cpus.size() << " usable\n"
              << "memory     " << bytes_words(memory_bytes()) << "\n"
              << "disk       " << bytes_words(free) << " free at " << std::filesystem::absolute(where).string() << "\n";
    if (!latch.empty()) std::cout << "latch      " << latch << "\n";
    if (gpus.found.empty()) std::cout << "gpus       none: " << gpus.note << "; slots are shares of the CPUs\n";
    for (const auto& gpu : gpus.found)
      std::cout << "gpu        " << gpu.uuid << " " << gpu.name
                << (gpu.used_by.empty() ? "" : ", not used: " + gpu.used_by) << "\n";
    if (keeper.is_discarded()) {
      std::cout << "keeper     overnight-worker cannot be run: no attempt could start here\n";
    } else {
      for (const std::string& line : containment_words(keeper)) std::cout << line << "\n";
    }
  }
  return keeper.is_discarded() ? exit_failed : exit_done;
}

}  // namespace

void add_doctor(CLI::App& app, Common& common) {
  static bool as_json = false;
  CLI::App* verb = app.add_subcommand("doctor", "what this machine is, and what will really be enforced on it");
  verb->add_flag("--json", as_json, "print JSON");
  verb->callback([&] { common.chosen = [&] { return doctor(common, as_json); }; });
}

}  // namespace overnight::cli
