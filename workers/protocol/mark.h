// The mark by which the orchestrator knows what a keeper started, even when the keeper is dead and the process has
// changed everything that it can change. Both sides must mean the same limit.
#pragma once

#include <sys/resource.h>

namespace overnight::workers {

// A hard limit is inherited, and nobody without CAP_SYS_RESOURCE (which tasks do not have) can raise it. This one
// limits the bytes of POSIX message queues (by default 819,200); one byte less hurts nobody.
inline constexpr auto mark_resource = RLIMIT_MSGQUEUE;

// In the keeper, before it starts anything.
inline void take_mark() {
  rlimit now{};
  if (::getrlimit(mark_resource, &now) != 0 || now.rlim_max == 0) return;
  now.rlim_max -= 1;
  now.rlim_cur = now.rlim_cur < now.rlim_max ? now.rlim_cur : now.rlim_max;
  ::setrlimit(mark_resource, &now);
}

}  // namespace overnight::workers
