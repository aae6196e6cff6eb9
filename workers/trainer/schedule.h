// What changes over a training: the learning rate, as a factor of its largest value, and the momentum. Pure. `progress`
// goes from 0 to 1: of the time or of the steps, whichever the budget is in.
#pragma once

#include <algorithm>
#include <cstdint>

namespace overnight::workers {

struct Schedule {
  double warmup = 0.02;   // share of the training with a rising rate
  double warmdown = 0.6;  // share of it, at the end, with a falling rate
  double floor = 0.0;     // what is left at the end

  double at(double progress) const {
    if (progress < 0) progress = 0;
    if (progress > 1) progress = 1;
    double factor = 1;
    if (warmup > 0 && progress < warmup) factor = progress / warmup;
    if (warmdown > 0 && progress > 1 - warmdown) {
      const double left = (1 - progress) / warmdown;
      const double falling = floor + (1 - floor) * left;
      if (falling < factor) factor = falling;
    }
    return factor < 1e-3 ? 1e-3 : factor;  // never nothing: the first step counts too
  }
};

// It rises to its height over so many steps, or over a share of the training, and may fall again at the end.
struct Momentum {
  double start = 0.85, height = 0.95, end = 0;  // end of 0: it stays
  std::int64_t warmup_steps = 300;
  double rise = 0;  // above 0: a share of the training instead of steps
  double fall = 0;  // share of it, at the end

  // `step` counts from 1.
  double at(std::int64_t step, double progress) const {
    progress = std::clamp(progress, 0.0, 1.0);
    double risen = 1;
    if (rise > 0) {
      risen = std::min(1.0, progress / rise);
    } else if (warmup_steps > 0) {
      risen = std::min(1.0, static_cast<double>(step) / static_cast<double>(warmup_steps));
    }
    const double value = start + risen * (height - start);
    const double fallen = end > 0 && fall > 0 ? std::clamp((progress - (1 - fall)) / fall, 0.0, 1.0) : 0;
    return value + fallen * (end - value);
  }
};

}  // namespace overnight::workers
