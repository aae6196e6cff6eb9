// doctor: what this machine is and what will really be enforced on it.
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "orchestrator/cli/cuda_toolkit.h"
#include "orchestrator/cli/exit_codes.h"
#include "orchestrator/cli/gpu_condition.h"
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

// The driver, the toolkit, and how each GPU is now.
struct GpuPart {
  workers::Nvml nvml;
  executors::GpusFound gpus = executors::find_gpus(nvml);
  std::optional<CudaToolkit> toolkit = find_cuda_toolkit(std::getenv("PATH") != nullptr ? std::getenv("PATH") : "");

  std::optional<GpuCondition> condition(const executors::GpuFound& gpu) const {
    const auto device = nvml.device(gpu.uuid);
    return device ? std::optional(condition_of(nvml, *device)) : std::nullopt;
  }
};

std::string toolkit_words(const std::optional<CudaToolkit>& toolkit) {
  if (!toolkit) return "none: nvcc is neither in PATH nor in /usr/local/cuda/bin";
  return (toolkit->version.empty() ? "of a version that it does not tell" : toolkit->version) + ", " + toolkit->nvcc;
}

void add_gpus(const GpuPart& part, json& out) {
  json list = json::array();
  for (const auto& gpu : part.gpus.found) {
    json one{{"uuid", gpu.uuid}, {"name", gpu.name}, {"used_by", gpu.used_by}};
    if (const auto condition = part.condition(gpu)) one.update(condition_json(*condition));
    list.push_back(std::move(one));
  }
  const auto driver = part.nvml.driver_version(), cuda = part.nvml.cuda_version();
  out["gpus"] = list;
  out["gpu_note"] = part.gpus.note;
  out["gpu_driver"] = driver ? json(*driver) : json(nullptr);
  out["gpu_driver_cuda"] = cuda ? json(*cuda) : json(nullptr);
  out["cuda_toolkit"] = nullptr;
  if (part.toolkit) out["cuda_toolkit"] = {{"version", part.toolkit->version}, {"nvcc", part.toolkit->nvcc}};
}

void print_gpus(const GpuPart& part) {
  if (part.gpus.found.empty()) {
    std::cout << "gpus       none: " << part.gpus.note << "; slots are shares of the CPUs\n";
  } else {
    const auto driver = part.nvml.driver_version(), cuda = part.nvml.cuda_version();
    std::cout << "driver     NVIDIA " << (driver ? *driver : driver.error().explain) << ", for CUDA up to "
              << (cuda ? *cuda : cuda.error().explain) << "\n";
  }
  if (part.toolkit || !part.gpus.found.empty()) std::cout << "toolkit    " << toolkit_words(part.toolkit) << "\n";
  for (const auto& gpu : part.gpus.found) {
    std::cout << "gpu        " << gpu.uuid << " " << gpu.name
              << (gpu.used_by.empty() ? "" : ", not used: " + gpu.used_by) << "\n";
    const auto condition = part.condition(gpu);
    if (!condition) std::cout << "             it cannot be asked how it is\n";
    for (const std::string& line : condition ? condition_lines(*condition) : std::vector<std::string>{})
      std::cout << "             " << line << "\n";
  }
}

int doctor(const Common& common, bool as_json) {
  utsname system{};
  uname(&system);
  const auto cpus = executors::usable_cpus();
  const GpuPart gpus;
  const json keeper = probe(common.program.parent_path() / "overnight-worker");
  struct statvfs disk {};
  const std::filesystem::path where =
      std::filesystem::exists(common.home()) ? common.home() : std::filesystem::path(".");
  statvfs(where.c_str(), &disk);
  const auto free = static_cast<std::int64_t>(disk.f_bavail) * static_cast<std::int64_t>(disk.f_frsize);
  const std::string latch = latch_words(common.home(), std::nullopt);
  if (as_json) {
    json out{{"kernel", system.release},
             {"user", getuid()},
             {"cpus", cpus.size()},
             {"memory_bytes", memory_bytes()},
             {"disk_free_bytes", free},
             {"latch", latch.empty() ? json(nullptr) : json(latch)},
             {"containment", keeper.is_discarded() ? json(nullptr) : keeper}};
    add_gpus(gpus, out);
    std::cout << out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
  } else {
    std::cout << "kernel     " << system.release << ", "
              << (getuid() == 0 ? "root" : "user " + std::to_string(getuid())) << "\n"
              << "cpus       " << cpus.size() << " usable\n"
              << "memory     " << bytes_words(memory_bytes()) << "\n"
              << "disk       " << bytes_words(free) << " free at " << std::filesystem::absolute(where).string() << "\n";
    if (!latch.empty()) std::cout << "latch      " << latch << "\n";
    print_gpus(gpus);
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
