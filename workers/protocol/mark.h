// The mark by which the orchestrator knows what a keeper started, even when the keeper is dead and the process has
// changed everything that it can change. Both sides must mean the same limit.
#pragma once

namespace overnight::workers {

// A hard limit is inherited, and nobody without CAP_SYS_RESOURCE (which tasks do not have) can raise it. This one
// limits the bytes of POSIX message queues (by default 819,200); one byte less hurts nobody.
inline constexpr int mark_resource = 12;  // RLIMIT_MSGQUEUE

}  // namespace overnight::workers
