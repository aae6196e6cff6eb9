// Port: time. Only main makes the real one; the loop stamps each input once.
#pragma once

#include "budgets/time.h"

namespace overnight::ports {

class Clock {
 public:
  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  virtual ~Clock() = default;

  virtual budgets::Moment now() const = 0;     // CLOCK_BOOTTIME
  virtual budgets::WallTime wall() const = 0;  // UTC
};

}  // namespace overnight::ports
