// The learning rate over a training, as a factor of its largest value. Pure.
#pragma once

namespace overnight::workers {

struct Schedule {
  double warmup = 0.02;   // share of the training with a rising rate
  double warmdown = 0.6;  // share of it, at the end, with a falling rate
  double floor = 0.0;     // what is left at the end

  // `progress` from 0 to 1: of the time or of the steps, whichever the budget is in.
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

}  // namespace overnight::workers
