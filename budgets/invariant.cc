#include "budgets/invariant.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace overnight::budgets {
namespace {
std::atomic<InvariantListener> listening{nullptr};
}

void on_invariant_broken(InvariantListener listener) { listening.store(listener); }

void invariant_broken(const char* condition, const char* must_hold, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: broken: %s (%s)\n", file, line, must_hold, condition);
  if (InvariantListener listener = listening.load()) listener(must_hold);
  std::abort();
}

}  // namespace overnight::budgets
