// A library that answers as libnvidia-ml.so.1 does, for the functions that we ask. What it answers stands in the file
// that OVERNIGHT_FAKE_GPUS names, else in the file "gpus" beside it; without either it does not answer. One GPU a line:
//
//   UUID NAME [pid...] [key=value...]
//
// Values: reasons=1,4,4 are told one after the other, the last again and again; energy=1000+50 grows by 50 mJ with
// each question. unsupported=ecc,energy names what this GPU does not know;
// missing=reasons,temperature for what the driver has only the newer functions; lost_after=3: the third question for
// reasons was the last that it answered; hang=1: initialising never returns. Once a GPU has told its first reasons
// there is a file with ".asked" behind the script's name. The name "broken" hides the processes.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace {

struct Gpu {
  std::string uuid, name;
  std::vector<unsigned> pids;
  std::map<std::string, std::string> values;
};

struct ProcessInfo {
  unsigned pid;
  unsigned long long used_memory;
  unsigned gpu_instance;
  unsigned compute_instance;
};

struct MemoryInfo {
  unsigned long long total, free, used;
};

struct Temperature {
  unsigned version;
  int sensor;
  int celsius;
};

constexpr int success = 0;
constexpr int not_supported = 3;
constexpr int not_found = 6;
constexpr int insufficient_size = 7;
constexpr int function_not_found = 13;
constexpr int gpu_is_lost = 15;
constexpr int unknown = 999;

std::map<std::size_t, unsigned> reasons_asked, energy_asked;  // by the number of the GPU

std::string script() {
  if (const char* path = std::getenv("OVERNIGHT_FAKE_GPUS")) return path;
  Dl_info here{};
  dladdr(reinterpret_cast<void*>(&script), &here);
  const std::string own = here.dli_fname ? here.dli_fname : "";
  return own.substr(0, own.rfind('/') + 1) + "gpus";
}

std::vector<Gpu> all() {
  std::vector<Gpu> gpus;
  std::ifstream file(script());
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    Gpu gpu;
    words >> gpu.uuid >> gpu.name;
    for (std::string word; words >> word;) {
      const std::size_t equals = word.find('=');
      if (equals == std::string::npos) gpu.pids.push_back(static_cast<unsigned>(std::stoul(word)));
      if (equals != std::string::npos) gpu.values[word.substr(0, equals)] = word.substr(equals + 1);
    }
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

std::vector<std::string> parts(const std::string& text, char between) {
  std::vector<std::string> found;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, between);) found.push_back(part);
  return found;
}

// Whether the GPU refuses the question; success: it does not.
int refusal(void* device, const Gpu& gpu, const std::string& question) {
  const auto lost = gpu.values.find("lost_after");
  if (lost != gpu.values.end() && reasons_asked[index_of(device)] >= std::stoul(lost->second)) return gpu_is_lost;
  const auto names = gpu.values.find("unsupported");
  if (names == gpu.values.end()) return success;
  for (const std::string& name : parts(names->second, ',')) {
    if (name == question) return not_supported;
  }
  return success;
}

bool is_missing(void* device, const std::string& question) {
  const Gpu gpu = all().at(index_of(device));
  const auto names = gpu.values.find("missing");
  return names != gpu.values.end() && names->second.find(question) != std::string::npos;
}

unsigned long long value_of(const Gpu& gpu, const std::string& name, unsigned long long otherwise) {
  const auto found = gpu.values.find(name);
  return found == gpu.values.end() ? otherwise : std::stoull(found->second, nullptr, 0);
}

template <typename Number>
int answer(void* device, const char* question, unsigned long long otherwise, Number* out) {
  const Gpu gpu = all().at(index_of(device));
  const int refused = refusal(device, gpu, question);
  if (refused == success) *out = static_cast<Number>(value_of(gpu, question, otherwise));
  return refused;
}

}  // namespace

extern "C" {

int nvmlInit_v2() {
  reasons_asked.clear();
  energy_asked.clear();
  const std::vector<Gpu> gpus = all();
  while (!gpus.empty() && gpus.front().values.contains("hang")) pause();
  return std::ifstream(script()).is_open() ? success : unknown;
}
int nvmlShutdown() { return success; }

int nvmlSystemGetDriverVersion(char* out, unsigned size) { return tell("550.54.15", out, size); }
int nvmlSystemGetCudaDriverVersion(int* version) {
  *version = 12040;
  return success;
}

int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = static_cast<unsigned>(all().size());
  return success;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  *device = reinterpret_cast<void*>(static_cast<std::size_t>(index) + 1);
  return index < all().size() ? success : unknown;
}

int nvmlDeviceGetHandleByUUID(const char* uuid, void** device) {
  const std::vector<Gpu> gpus = all();
  for (std::size_t i = 0; i < gpus.size(); ++i) {
    if (gpus[i].uuid != uuid) continue;
    *device = reinterpret_cast<void*>(i + 1);
    return success;
  }
  return not_found;
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

int nvmlDeviceGetCudaComputeCapability(void* device, int* major, int* minor) {
  const int refused = answer(device, "capability", 9, major);
  if (refused == success) *minor = 0;
  return refused;
}

int nvmlDeviceGetMemoryInfo(void* device, MemoryInfo* out) {
  const int refused = answer(device, "memory", 3'000'000'000, &out->used);
  out->total = 150'000'000'000;
  out->free = out->total - out->used;
  return refused;
}

int nvmlDeviceGetEccMode(void* device, int* current, int* pending) {
  *pending = 1;
  return answer(device, "ecc", 1, current);
}

int nvmlDeviceGetTotalEccErrors(void* device, int kind, int counter, unsigned long long* out) {
  if (kind != 1) return unknown;
  return answer(device, counter == 0 ? "ecc" : "ecc_aggregate", 0, out);
}

int nvmlDeviceGetClockInfo(void* device, int clock, unsigned* out) {
  return answer(device, clock == 1 ? "sm_clock" : "memory_clock", clock == 1 ? 1500 : 3201, out);
}

int nvmlDeviceGetMaxClockInfo(void* device, int clock, unsigned* out) {
  return answer(device, clock == 1 ? "sm_clock_max" : "memory_clock_max", clock == 1 ? 1980 : 3201, out);
}

int nvmlDeviceGetTemperature(void* device, int sensor, unsigned* out) {
  if (is_missing(device, "temperature")) return function_not_found;
  return sensor == 0 ? answer(device, "temperature", 41, out) : unknown;
}

int nvmlDeviceGetTemperatureV(void* device, Temperature* out) {
  return out->version == 0x0100000c && out->sensor == 0 ? answer(device, "temperature", 41, &out->celsius) : unknown;
}

int nvmlDeviceGetPowerUsage(void* device, unsigned* out) { return answer(device, "power", 120'000, out); }
int nvmlDeviceGetPowerManagementDefaultLimit(void* device, unsigned* out) {
  return answer(device, "power_limit_default", 700'000, out);
}
int nvmlDeviceGetEnforcedPowerLimit(void* device, unsigned* out) { return answer(device, "power_limit", 700'000, out); }

int nvmlDeviceGetTotalEnergyConsumption(void* device, unsigned long long* out) {
  const Gpu gpu = all().at(index_of(device));
  const int refused = refusal(device, gpu, "energy");
  if (refused != success) return refused;
  const auto told = gpu.values.find("energy");
  const auto terms = parts(told == gpu.values.end() ? "1000+50" : told->second, '+');
  *out = std::stoull(terms.at(0)) + std::stoull(terms.at(1)) * energy_asked[index_of(device)]++;
  return success;
}

int nvmlDeviceGetCurrentClocksEventReasons(void* device, unsigned long long* out) {
  const Gpu gpu = all().at(index_of(device));
  const int refused = refusal(device, gpu, "reasons");
  if (refused != success) return refused;
  const auto told = gpu.values.find("reasons");
  const auto steps = parts(told == gpu.values.end() ? "0" : told->second, ',');
  const std::size_t now = reasons_asked[index_of(device)]++;
  *out = std::stoull(steps.at(now < steps.size() ? now : steps.size() - 1), nullptr, 0);
  if (now == 0) std::ofstream(script() + ".asked");
  return success;
}

int nvmlDeviceGetCurrentClocksThrottleReasons(void* device, unsigned long long* out) {
  return is_missing(device, "reasons") ? function_not_found : nvmlDeviceGetCurrentClocksEventReasons(device, out);
}
}
