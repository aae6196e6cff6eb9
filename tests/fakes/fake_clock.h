// Time that passes only when a test says so. A machine's reboot begins the boot clock anew; the wall goes on.
#pragma once

#include "orchestrator/ports/clock.h"

namespace overnight::fakes {

class FakeClock final : public ports::Clock {
 public:
  budgets::Moment now() const override { return budgets::Moment::at(elapsed_ms_ - booted_ms_); }
  budgets::WallTime wall() const override { return budgets::WallTime::at(1'700'000'000'000 + elapsed_ms_); }

  // Milliseconds since the world began: what the fakes count in.
  std::int64_t elapsed_ms() const { return elapsed_ms_; }
  void advance(budgets::Millis by) { elapsed_ms_ += by.count(); }
  void advance_to(std::int64_t elapsed_ms) { elapsed_ms_ = elapsed_ms > elapsed_ms_ ? elapsed_ms : elapsed_ms_; }
  void reboot() { booted_ms_ = elapsed_ms_; }
  // The moment of this boot, as world time.
  std::int64_t elapsed_at(budgets::Moment moment) const { return moment.ms() + booted_ms_; }

 private:
  std::int64_t elapsed_ms_ = 1000;
  std::int64_t booted_ms_ = 0;
};

}  // namespace overnight::fakes
