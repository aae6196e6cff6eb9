// Conducts one run in this process, from opening the home to the end of the run: wires store, executor, proposers,
// loop, API, signals and the view. Decides nothing.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "orchestrator/core/events.h"

namespace overnight::cli {

struct Conduct {
  std::filesystem::path home;
  std::optional<core::Study> study;  // a new run of this study; none: `run` is resumed
  core::RunId run;                   // of the new run, or the one to resume
  core::WallTime until = core::WallTime::never();
  std::filesystem::path keeper;  // overnight-worker
  std::filesystem::path prices;  // prices.yaml; may be missing
  bool plain = false;            // no live view, even on a terminal
};

// Runs until the run ended or was stopped. Prints what happens; returns the program's exit code.
int conduct(const Conduct& what);

}  // namespace overnight::cli
