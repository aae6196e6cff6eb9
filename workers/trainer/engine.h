// What takes a training's steps: threads of the CPU (cpu_engine.cc) or a GPU (device_engine.cc). Private to the
// trainer.
#pragma once

#include <memory>

#include "workers/trainer/batches.h"
#include "workers/trainer/training.h"

namespace overnight::workers {

class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::optional<double> step(double progress, const std::atomic<bool>* stop) = 0;  // see Training
  virtual const Graph& graph() const = 0;
  virtual const float* result() = 0;  // see Training::parameters

  // All that the next step depends on beside the settings. Numbers are as they are now in the memory of this process;
  // `take_back` makes of what was written there, and of the rest, where the training is.
  struct Carried {
    struct Numbers {
      const char* name;
      float* values;
      std::size_t count;
    };
    std::vector<Numbers> numbers;
    std::int64_t steps = 0;
    std::string place;  // of Batches
  };
  virtual Carried carried() = 0;
  virtual bool take_back(std::int64_t steps, const std::string& place) = 0;  // false: no such place
  virtual std::uint64_t fingerprint() const = 0;                             // of Batches

  virtual void take_profile() = 0;
  virtual std::vector<ProfileLine> profile() const = 0;
};

std::unique_ptr<Engine> make_cpu_engine(const TrainingSettings& settings, const Documents& documents,
                                        const Stopped& stopped);
std::unique_ptr<Engine> make_device_engine(const TrainingSettings& settings, const Documents& documents,
                                           const Stopped& stopped, kernels::Device& device);

// By kind, the most expensive first.
std::vector<ProfileLine> sorted_lines(std::map<std::string, ProfileLine> kinds);

}  // namespace overnight::workers
