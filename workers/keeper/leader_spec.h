// What a phase's first process, the leader, is and what it may use; and its way there. The leader was forked before
// this was known, so it reads the text from memory that it shares with the keeper, and gets the descriptors by a note.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "budgets/result.h"
#include "workers/keeper/private_view.h"

namespace overnight::workers {

struct LeaderSpec {
  std::string program;               // path to execute
  std::vector<std::string> command;  // its argv
  std::vector<std::string> env;      // NAME=value
  std::string work_path;             // its working folder
  PrivateView view;                  // holds where the containment has mounts of its own
  std::vector<int> cpus;             // affinity; empty: as the keeper
  std::int64_t file_bytes_max = 0;   // RLIMIT_FSIZE; 0: none
  std::int64_t tasks_max = 0;        // RLIMIT_NPROC, only inside a user namespace of our own; 0: none
  bool operator==(const LeaderSpec&) const = default;
};

// The descriptors that go with it, in the order of their note. They stay the keeper's.
struct LeaderDescriptors {
  int out = -1;
  int err = -1;
};

// Texts end with a zero byte, which none of them can hold, and lists begin with their length.
std::string to_bytes(const LeaderSpec&);
// INVARIANT: what `to_bytes` wrote. Only the keeper writes there.
LeaderSpec leader_spec_from(std::string_view bytes);

// Memory that a process shares with what it forks. Pages that nobody wrote to take no room.
class SharedText {
 public:
  // More than the kernel takes for arguments and environment together, so that it is the one to refuse.
  static constexpr std::size_t bytes_max = 8 << 20;

  static budgets::Result<SharedText, std::string> make();
  SharedText(SharedText&&) noexcept;
  SharedText& operator=(SharedText&&) = delete;
  ~SharedText();

  bool put(std::string_view text);  // false: too long
  std::string_view get() const;

 private:
  explicit SharedText(void* at) : at_(at) {}
  void* at_;
};

}  // namespace overnight::workers
