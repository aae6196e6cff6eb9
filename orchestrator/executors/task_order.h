// From a decided launch and its study to the order that a keeper obeys: substitutions, limits, environment. Pure.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "budgets/result.h"
#include "orchestrator/core/changes.h"
#include "orchestrator/core/study.h"
#include "orchestrator/executors/attempt_folder.h"
#include "workers/protocol/order.h"

namespace overnight::executors {

// What only the executor knows of a launch.
struct Place {
  std::string home;  // UUID
  std::filesystem::path home_folder;
  std::int64_t epoch = 0;
  std::string nonce;
  AttemptFolder folder;
  core::SlotFound slot;
  std::int64_t lease_ms = 0;
};

workers::Order order_for(const core::Launch& launch, const core::Study& study, const Place& place);

// The text of the file that {experiment} names.
std::string experiment_json(const core::Launch& launch, const core::Study& study);

// {experiment} {params} {p.NAME} {seed} {artifacts}; "{{" and "}}" stand for braces. An argument that is exactly
// "{params}" becomes one argument per parameter ("--learning_rate=0.003"); inside an argument they are joined by
// blanks.
std::vector<std::string> substitute(const std::vector<std::string>& command, const core::Launch& launch,
                                    const AttemptFolder& folder);

}  // namespace overnight::executors
