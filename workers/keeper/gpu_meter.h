// overnight-gpu-meter beside a phase that has GPUs, and what it told last. A resource: owns the process, which ends
// with it. Nothing here waits for the driver: who does not answer in time is killed, and what was not told is unknown.
// It cannot fail a phase, and its process is no part of the phase's tree.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "workers/keeper/descriptor.h"
#include "workers/keeper/inherited.h"
#include "workers/protocol/gpu_use.h"

namespace overnight::workers {

inline constexpr std::int64_t gpu_sample_every_ms = 1000;
inline constexpr std::int64_t last_sample_wait_ms = 200;  // at a phase's end

class GpuMeter {
 public:
  // No GPUs: nothing is started. The meter lies beside the keeper; of the environment it gets only where libraries lie.
  GpuMeter(const std::vector<std::string>& gpus, const std::string& program_folder, const InheritedEnvironment&);
  GpuMeter(const GpuMeter&) = delete;
  GpuMeter& operator=(const GpuMeter&) = delete;
  ~GpuMeter();

  // 0: none was started, or it has ended. Its number may be somebody else's from then on, who must not be spared for
  // it.
  pid_t pid() const;
  void listen();  // takes what it told meanwhile; does not block
  void ask();     // for a sample now: the phase is over
  // One for each GPU, in their order. Waits for the sample that was asked for, and ends the process.
  std::vector<GpuUse> finish();

 private:
  void end();
  bool take_packet();

  std::vector<GpuUse> told_;
  pid_t pid_ = 0;
  Descriptor ended_;  // pidfd
  Descriptor socket_;
  bool asked_ = false;
};

}  // namespace overnight::workers
