// The life of one attempt: wait for the lease, lay out the folder, run the phases one after the other, judge, write the
// receipt. Whatever goes wrong becomes a receipt.
#pragma once

#include <optional>
#include <string>

#include "workers/keeper/attempt_folder.h"
#include "workers/keeper/cgroups.h"
#include "workers/keeper/channel.h"
#include "workers/keeper/containment.h"
#include "workers/keeper/inherited.h"
#include "workers/keeper/process_tree.h"
#include "workers/protocol/order.h"
#include "workers/protocol/receipt.h"

namespace overnight::workers {

struct KeeperSettings {
  Containment containment;
  InheritedEnvironment inherited;  // the orchestrator's, of which env_pass is taken
  std::string program_folder;      // where the keeper itself lies; appended to the tasks' PATH
};

// Runs the attempt to its end and returns what happened; the receipt is not yet written. Blocks. The groups get the
// order's limits. `prepared`: for the first phase, if it was made ahead.
Receipt keep(const Order&, const AttemptFolder&, Channel&, const KeeperSettings&, AttemptGroups&,
             std::optional<ProcessTree> prepared);

// A receipt that names the order, for what fails before or around `keep`.
Receipt receipt_for(const Order&, Cause, std::string detail);

}  // namespace overnight::workers
