// The machine's clocks: CLOCK_BOOTTIME for decisions, UTC for records.
#pragma once

#include "orchestrator/ports/clock.h"

namespace overnight::cli {

class RealClock final : public ports::Clock {
 public:
  budgets::Moment now() const override;
  budgets::WallTime wall() const override;
};

}  // namespace overnight::cli
