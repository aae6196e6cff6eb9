// overnight-gpu-meter EVERY_MS UUID..., with a socket of sequenced packets as its standard input: samples these GPUs
// and sends, after each time, what they did so far (protocol/gpu_use.h). A packet from the other side asks for a sample
// now; its end is ours. Nothing else in here waits for anybody but the driver.
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <vector>

#include "workers/gpu_meter/gpu_tally.h"
#include "workers/nvml/nvml.h"

namespace overnight::workers {
namespace {

std::int64_t monotonic_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

template <typename T>
std::optional<T> known(const NvmlAnswer<T>& answer) {
  return answer ? std::optional<T>(*answer) : std::nullopt;
}

GpuSample sample_of(const Nvml& nvml, Nvml::Device gpu) {
  GpuSample sample;
  sample.at_ms = monotonic_ms();
  sample.reasons = known(nvml.clock_reasons(gpu));
  sample.full_power = nvml.full_power(gpu);
  sample.energy_mj = known(nvml.energy_mj(gpu));
  if (!sample.energy_mj) sample.power_mw = known(nvml.power_mw(gpu));
  sample.sm_clock_mhz = known(nvml.clock_mhz(gpu, GpuClock::sm));
  if (const auto memory = nvml.memory(gpu)) sample.memory_used_bytes = memory->used_bytes;
  return sample;
}

struct Metered {
  std::optional<Nvml::Device> gpu;  // none: the driver does not know it
  GpuTally tally;
};

bool tell(std::vector<Metered>& gpus, const Nvml& nvml) {
  std::vector<GpuUse> uses;
  for (Metered& one : gpus) {
    if (one.gpu) one.tally.add(sample_of(nvml, *one.gpu));
    uses.push_back(one.tally.so_far());
  }
  const std::string text = to_json(uses);
  // A keeper that does not read for now gets the next one: each tells everything.
  return ::send(STDIN_FILENO, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || errno == EAGAIN;
}

// Waits until `until_ms` or to be asked. False: the keeper is gone.
bool wait_until(std::int64_t until_ms) {
  pollfd asked{STDIN_FILENO, POLLIN, 0};
  const std::int64_t left = until_ms - monotonic_ms();
  if (left > 0 && ::poll(&asked, 1, static_cast<int>(left)) <= 0) return true;
  char packet[16];
  const ssize_t size = ::recv(STDIN_FILENO, packet, sizeof packet, MSG_DONTWAIT);
  return size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR));
}

int run(std::int64_t every_ms, char** uuids) {
  const Nvml nvml;
  if (!nvml.complaint().empty()) return 1;
  std::vector<Metered> gpus;
  for (; *uuids != nullptr; ++uuids) gpus.push_back({known(nvml.device(std::string(*uuids))), GpuTally(*uuids)});
  for (std::int64_t next = monotonic_ms(); tell(gpus, nvml);) {
    if (monotonic_ms() >= next) next = monotonic_ms() + every_ms;
    if (!wait_until(next)) break;
  }
  return 0;
}

}  // namespace
}  // namespace overnight::workers

int main(int argc, char** argv) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_DUMPABLE, 0);  // tasks of the same user must not make it do something else
  const std::int64_t every_ms = argc > 2 ? std::atoll(argv[1]) : 0;
  return every_ms > 0 ? overnight::workers::run(every_ms, argv + 2) : 2;
}
