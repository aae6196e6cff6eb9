#include "orchestrator/cli/real_clock.h"

#include <ctime>

namespace overnight::cli {
namespace {

std::int64_t read_ms(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::int64_t{time.tv_sec} * 1000 + time.tv_nsec / 1'000'000;
}

}  // namespace

budgets::Moment RealClock::now() const { return budgets::Moment::at(read_ms(CLOCK_BOOTTIME)); }
budgets::WallTime RealClock::wall() const { return budgets::WallTime::at(read_ms(CLOCK_REALTIME)); }

}  // namespace overnight::cli
