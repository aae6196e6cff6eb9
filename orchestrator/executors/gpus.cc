#include "orchestrator/executors/gpus.h"

#include <unistd.h>

#include <fstream>
#include <memory>
#include <mutex>
#include <sstream>

#include "workers/nvml/nvml.h"

namespace overnight::executors {
namespace {

using workers::Nvml;

constexpr int ancestors_max = 1024;  // of a process; a chain that is longer is broken

GpuFound gpu_of(const Nvml& nvml, Nvml::Device device) {
  GpuFound gpu{nvml.uuid(device).value_or(""), nvml.name(device).value_or(""), "", {}};
  if (gpu.uuid.empty()) gpu.used_by = "its UUID cannot be asked for";
  if (auto users = nvml.compute_processes(device)) {
    gpu.users = std::move(*users);
  } else {  // unknown is not free
    gpu.used_by =
        users.error().explain.starts_with("more than") ? users.error().explain : "its users cannot be asked for";
  }
  return gpu;
}

GpusFound look(const Nvml& nvml) {
  GpusFound gpus{{}, nvml.complaint()};
  if (!gpus.note.empty()) return gpus;
  const auto count = nvml.count();
  if (!count) gpus.note = "the NVIDIA driver counts no GPUs";
  for (unsigned i = 0; count && i < *count; ++i) {
    if (const auto device = nvml.device(i)) gpus.found.push_back(gpu_of(nvml, *device));
  }
  return gpus;
}

// -1: the process cannot be seen.
int parent_of(int pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::ostringstream read;  // not by the buffer's iterators: a process that ends meanwhile would be an exception
  read << in.rdbuf();
  const std::string text = read.str();
  const std::size_t close = text.rfind(')');
  if (close == std::string::npos) return -1;
  std::istringstream fields(text.substr(close + 1));
  std::string state;
  int parent = -1;
  fields >> state >> parent;
  return parent;
}

enum class Kinship { ours, foreign, unseen };

Kinship kinship_of(int pid) {
  if (parent_of(pid) < 0) return Kinship::unseen;
  for (int i = 0; i < ancestors_max && pid > 0; ++i) {
    if (pid == getpid()) return Kinship::ours;
    pid = parent_of(pid);
  }
  return Kinship::foreign;
}

}  // namespace

GpusFound find_gpus(const std::string& library) { return find_gpus(Nvml(library)); }

GpusFound find_gpus(const Nvml& nvml) {
  GpusFound gpus = look(nvml);
  for (GpuFound& gpu : gpus.found) gpu.used_by = foreign_user(gpu, true);
  return gpus;
}

std::function<GpusFound()> gpu_source(const std::string& library) {
  struct Source {
    std::mutex one_at_a_time;
    std::unique_ptr<Nvml> nvml;
  };
  return [library, source = std::make_shared<Source>()] {
    const std::lock_guard<std::mutex> turn(source->one_at_a_time);
    if (!source->nvml) source->nvml = std::make_unique<Nvml>(library);
    return look(*source->nvml);
  };
}

std::string foreign_user(const GpuFound& gpu, bool strict) {
  if (!gpu.used_by.empty()) return gpu.used_by;
  for (const int pid : gpu.users) {
    const Kinship kinship = kinship_of(pid);
    if (kinship == Kinship::foreign) return "process " + std::to_string(pid);
    if (kinship == Kinship::unseen && strict) return "process " + std::to_string(pid) + " (not visible from here)";
  }
  return "";
}

}  // namespace overnight::executors
