// What the API's requests mean: JSON commands to events for `step`. Pure; the caller posts the event and answers after
// the commit.
#pragma once

#include <string>

#include "budgets/result.h"
#include "orchestrator/core/events.h"
#include "orchestrator/core/state.h"

namespace overnight::server {

struct CommandRefusal {
  int status = 400;
  std::string explain;
};

// A budget names what it changes; this puts the run's own grants where it says nothing.
void keep_other_grants(core::BudgetChanged& changed, const core::Run& run);

// `path` is the part after "/v1/": halt, hold, release, drain, stop, enqueue, budget. `by` comes from the socket's
// peer, never from the request.
budgets::Result<core::Event, CommandRefusal> event_of(const std::string& path, const std::string& body,
                                                      const std::string& by);

}  // namespace overnight::server
