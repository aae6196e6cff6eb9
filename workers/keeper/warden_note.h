// What keeper, warden and leader tell each other over SOCK_SEQPACKET pairs that no task ever holds.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "workers/keeper/descriptor.h"

namespace overnight::workers {

struct WardenNote {
  enum class Kind : std::int32_t {
    go = 1,         // to the warden, and from it to the leader: start; carries the descriptors of the LeaderSpec
    signal,         // to the warden: send `value` to the leader
    leader_starts,  // from the leader, just before exec; the kernel adds its pid as the keeper sees it
    group_refused,  // from the leader: it could not enter a cgroup (errno in `value`)
    view_refused,   // from the warden: private data cannot be hidden (errno in `value`); no leader was started
    exec_failed,    // from warden or leader: errno in `value`
    leader_ended,   // from the warden: wait status in `value`
    all_ended,      // from the warden: nothing of the tree is left but itself
  };
  Kind kind = Kind::go;
  std::int32_t value = 0;
};

inline constexpr std::size_t note_descriptors_max = 8;

// False: the other end is gone. INVARIANT at most note_descriptors_max descriptors; they stay the sender's.
bool send_note(int channel, WardenNote note, std::span<const int> descriptors = {});

// Waits for a note and what came with it; false: the other end is gone.
bool receive_note(int channel, WardenNote& note, std::vector<Descriptor>& descriptors);

}  // namespace overnight::workers
