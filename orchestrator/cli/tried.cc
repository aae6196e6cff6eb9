#include "orchestrator/cli/tried.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "orchestrator/cli/chosen_run.h"
#include "orchestrator/cli/exit_codes.h"
#include "orchestrator/cli/real_clock.h"
#include "orchestrator/cli/terminal.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/executors/gpus.h"
#include "orchestrator/executors/local_executor.h"
#include "orchestrator/report/gpu_facts.h"

namespace overnight::cli {
namespace {

namespace fs = std::filesystem;

void show(const core::Study& study, const core::AttemptGone& gone, const fs::path& folder) {
  std::cout << "\n";
  if (gone.score) {
    std::cout << study.objective.metric << " = " << number_words(*gone.score)
              << (gone.self_reported ? "  (self-reported by the training process)" : "") << "\n";
  } else {
    std::cout << workers::name_of(gone.cause) << " in " << workers::name_of(gone.phase) << ": "
              << clean(gone.detail, 1000) << "\n";
    if (!gone.log_tail.empty()) std::cout << "last lines:\n" << clean_lines(gone.log_tail);
  }
  for (const auto& [phase, ms] : gone.phase_ms) std::cout << "  " << phase << " took " << duration_words(ms) << "\n";
  if (gone.took)
    std::cout << "  in all " << duration_words(gone.took->count()) << " of at most "
              << duration_words(core::worst_case_wall(study).count()) << "\n";
  std::cout << "  most memory " << bytes_words(gone.memory_peak_bytes) << ", artifacts "
            << bytes_words(gone.artifacts.count()) << "\n";
  if (study.task.gpus > 0) {
    const report::GpuFacts gpus = report::gpu_facts_of(gone.gpus, gone.phase_ms);
    std::cout << "  energy of the GPUs " << report::energy_words(gpus.energy) << ", throttled "
              << clean(report::throttling_words(gpus), 200) << "\n";
  }
  for (const auto& [name, value] : gone.metrics) {
    if (name != study.objective.metric) std::cout << "  " << clean(name, 60) << " = " << number_words(value) << "\n";
  }
  std::cout << "  refused paths and hosts: not shown, this version has no sandbox that refuses any\n"
            << "  logs in " << folder.string() << "\n";
}

nlohmann::json gpus_json(const core::Study& study, const core::AttemptGone& gone) {
  if (study.task.gpus == 0) return nullptr;
  const report::GpuFacts gpus = report::gpu_facts_of(gone.gpus, gone.phase_ms);
  return {{"throttled", std::string(workers::name_of(gpus.throttling))},
          {"slowed_by", gpus.slowed_by},
          {"energy_mj", gpus.energy.mj < 0 ? nlohmann::json(nullptr) : nlohmann::json(gpus.energy.mj)}};
}

nlohmann::json json_of(const core::Study& study, const core::AttemptGone& gone, const fs::path& folder) {
  nlohmann::json phases = nlohmann::json::object();
  for (const auto& [phase, ms] : gone.phase_ms) phases[phase] = ms;
  return {{"metric", study.objective.metric},
          {"score", gone.score ? nlohmann::json(*gone.score) : nlohmann::json(nullptr)},
          {"self_reported", gone.self_reported},
          {"cause", std::string(workers::name_of(gone.cause))},
          {"phase", std::string(workers::name_of(gone.phase))},
          {"detail", gone.detail},
          {"log_tail", gone.log_tail},
          {"phase_ms", phases},
          {"took_ms", gone.took ? nlohmann::json(gone.took->count()) : nlohmann::json(nullptr)},
          {"worst_case_ms", core::worst_case_wall(study).count()},
          {"memory_peak_bytes", gone.memory_peak_bytes},
          {"gpus", gpus_json(study, gone)},
          {"artifacts_bytes", gone.artifacts.count()},
          {"metrics", gone.metrics},
          {"folder", folder.string()}};
}

}  // namespace

int try_once(const core::Study& study, const fs::path& keeper, const fs::path& home, bool as_json) {
  std::ostream& progress = as_json ? std::cerr : std::cout;
  if (study.baseline.empty()) return refuse(exit_bad_input, "try runs the baseline, and this study has none");
  const auto point = core::canonical(study.space, study.baseline);
  if (!point) return refuse(exit_bad_input, "baseline: " + point.error().explain);
  std::error_code ignored;
  if (fs::exists(home, ignored) && !fs::is_directory(home, ignored)) {
    const NotChosen none = no_home_at(home);
    return refuse(none.code, none.why);
  }
  RealClock clock;
  boost::asio::io_context io;
  std::optional<core::AttemptGone> gone;
  executors::LocalSettings settings;
  settings.home = fs::absolute(home) / "tried";
  fs::remove_all(settings.home / "runs" / "try", ignored);
  settings.home_uuid = "try";
  settings.keeper = keeper;
  settings.gpus = executors::gpu_source();
  executors::LocalExecutor executor(
      io, clock, std::move(settings),
      [&](core::Event event) {
        if (const auto* phase = std::get_if<core::AttemptInPhase>(&event))
          progress << workers::name_of(phase->phase) << " ..." << std::endl;
        if (auto* ended = std::get_if<core::AttemptGone>(&event)) {
          gone = std::move(*ended);
          io.stop();
        }
      },
      [&](const executors::LiveMetric& seen) {
        progress << "  " << clean(seen.name, 60) << " " << number_words(seen.value) << std::endl;
      });
  if (executor.capacity(study).empty())
    return refuse(exit_bad_input, "no slot: the study wants GPUs that are not free here (overnight doctor)");
  core::Launch launch{core::AttemptId{1}, core::TrialId{1},        core::ExperimentId{1},
                      core::RunId{"try"}, core::SlotId{1},         *point,
                      study.seed,         core::Purpose::baseline, core::worst_case_wall(study)};
  boost::asio::signal_set signals(io, SIGINT, SIGTERM);
  signals.async_wait([&](boost::system::error_code error, int) {
    if (!error) executor.stop(launch.attempt, core::StopLevel::kill, "interrupted");
  });
  executor.launch(launch, study);
  if (!gone) io.run();
  const fs::path folder = executors::attempt_folder(fs::absolute(home) / "tried", launch.run, launch.attempt).path;
  if (as_json) {
    std::cout << json_of(study, *gone, folder).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
  } else {
    show(study, *gone, folder);
  }
  return gone->score ? exit_done : exit_failed;
}

}  // namespace overnight::cli
