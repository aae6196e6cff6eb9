// Where the parts of an attempt lie on disk. One place knows the layout; the keeper's README describes it.
#pragma once

#include <filesystem>

#include "orchestrator/core/ids.h"

namespace overnight::executors {

struct AttemptFolder {
  std::filesystem::path path;

  std::filesystem::path order() const { return path / "order.json"; }
  std::filesystem::path receipt() const { return path / "receipt.json"; }
  std::filesystem::path experiment() const { return path / "experiment.json"; }
  std::filesystem::path artifacts() const { return path / "artifacts"; }
  std::filesystem::path keeper_log() const { return path / "keeper.log"; }
  std::filesystem::path keeper_pid() const { return path / "keeper.pid"; }
};

inline AttemptFolder attempt_folder(const std::filesystem::path& home, const core::RunId& run,
                                    core::AttemptId attempt) {
  return {home / "runs" / run.text / "attempts" / std::to_string(core::number(attempt))};
}

}  // namespace overnight::executors
