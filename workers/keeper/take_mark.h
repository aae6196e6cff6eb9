// Takes the mark of workers/protocol/mark.h: in the keeper, before it starts anything.
#pragma once

#include <sys/resource.h>

#include "workers/protocol/mark.h"

namespace overnight::workers {

static_assert(mark_resource == static_cast<int>(RLIMIT_MSGQUEUE));

inline void take_mark() {
  constexpr auto resource = static_cast<__rlimit_resource>(mark_resource);
  rlimit now{};
  if (::getrlimit(resource, &now) != 0 || now.rlim_max == 0) return;
  now.rlim_max -= 1;
  now.rlim_cur = now.rlim_cur < now.rlim_max ? now.rlim_cur : now.rlim_max;
  ::setrlimit(resource, &now);
}

}  // namespace overnight::workers
