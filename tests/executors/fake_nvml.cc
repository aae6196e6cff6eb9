// A library that answers as libnvidia-ml.so.1 does, for the few functions that we ask. What it answers stands in the
// file that OVERNIGHT_FAKE_GPUS names: one GPU a line, "UUID NAME [pid...]"; a line "broken" makes a function fail.
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace {

struct Gpu {
  std::string uuid, name;
  std::vector<unsigned> pids;
};

struct ProcessInfo {
  unsigned pid;
  unsigned long long used_memory;
  unsigned gpu_instance;
  unsigned compute_instance;
};

constexpr int success = 0;
constexpr int insufficient_size = 7;
constexpr int unknown = 999;

std::vector<Gpu> all() {
  std::vector<Gpu> gpus;
  const char* path = std::getenv("OVERNIGHT_FAKE_GPUS");
  std::ifstream file(path ? path : "");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    Gpu gpu;
    words >> gpu.uuid >> gpu.name;
    for (unsigned pid = 0; words >> pid;) gpu.pids.push_back(pid);
    gpus.push_back(gpu);
  }
  return gpus;
}

std::size_t index_of(void* device) { return reinterpret_cast<std::size_t>(device) - 1; }

int tell(const std::string& text, char* out, unsigned size) {
  std::strncpy(out, text.c_str(), size - 1);
  out[size - 1] = '\0';
  return success;
}

}  // namespace

extern "C" {

int nvmlInit_v2() { return std::getenv("OVERNIGHT_FAKE_GPUS") ? success : unknown; }
int nvmlShutdown() { return success; }

int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = static_cast<unsigned>(all().size());
  return success;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  *device = reinterpret_cast<void*>(static_cast<std::size_t>(index) + 1);
  return index < all().size() ? success : unknown;
}

int nvmlDeviceGetUUID(void* device, char* out, unsigned size) {
  return tell(all().at(index_of(device)).uuid, out, size);
}
int nvmlDeviceGetName(void* device, char* out, unsigned size) {
  return tell(all().at(index_of(device)).name, out, size);
}

int nvmlDeviceGetComputeRunningProcesses_v3(void* device, unsigned* count, ProcessInfo* out) {
  const Gpu gpu = all().at(index_of(device));
  if (gpu.name == "broken") return unknown;
  const auto size = static_cast<unsigned>(gpu.pids.size());
  const bool fits = size <= *count;
  for (unsigned i = 0; fits && i < size; ++i) out[i] = {gpu.pids[i], 0, 0, 0};
  *count = size;
  return fits ? success : insufficient_size;
}
}
