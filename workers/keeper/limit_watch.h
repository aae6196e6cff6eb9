// The limits that nobody else holds: memory and processes where no control group counts them, disk, inodes, free space.
// Looked at a few times a second; says which limit was reached. Refers to the attempt's groups and folder.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "workers/keeper/attempt_folder.h"
#include "workers/keeper/cgroups.h"
#include "workers/keeper/disk_meter.h"
#include "workers/protocol/order.h"
#include "workers/protocol/receipt.h"

namespace overnight::workers {

struct EndReason {
  Cause cause = Cause::infrastructure;
  std::string detail;
};

// The pids controller counts threads too, a limit of processes does not: this many tasks per process are let through
// before forks are refused. It is a brake for fork bombs between two looks.
inline constexpr std::int64_t tasks_per_process = 8;

class LimitWatch {
 public:
  // `forks_are_braked`: something beside the groups (RLIMIT_NPROC) refuses forks beyond the limit.
  LimitWatch(const Limits&, const AttemptFolder&, const AttemptGroups&, bool forks_are_braked = false);

  void group_refused() { groups_hold_ = false; }  // the leader could not enter: count everything by hand
  std::int64_t look_every_ms() const;

  // `below`: everything under this process is the attempt's tree.
  std::optional<EndReason> look(pid_t below);
  // After a phase has failed: did memory or disk run out while we were not looking? `killed`: by a SIGKILL not ours.
  std::optional<EndReason> look_back(bool killed);
  std::int64_t memory_peak_bytes() const;
  DiskUse measure_disk();  // the whole folder, up to a million entries

 private:
  std::optional<EndReason> check_tree(pid_t below);
  std::optional<EndReason> check_groups() const;
  std::optional<EndReason> check_floor() const;
  std::optional<EndReason> check_disk(const DiskUse&) const;

  Limits limits_;
  const AttemptFolder& folder_;
  const AttemptGroups& groups_;
  DiskMeter meter_;
  bool forks_are_braked_;
  bool groups_hold_ = true;
  std::int64_t polled_peak_bytes_ = 0;
  std::int64_t system_oom_kills_;
};

std::string readable_bytes(std::int64_t bytes);  // "64 MiB"

}  // namespace overnight::workers
