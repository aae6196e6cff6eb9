#include "orchestrator/cli/released.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <iostream>

#include "orchestrator/cli/exit_codes.h"
#include "orchestrator/cli/real_clock.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/shell/latch_file.h"
#include "orchestrator/shell/loop.h"
#include "orchestrator/store/home_store.h"

namespace overnight::cli {

int release_stored(const std::filesystem::path& home, const std::string& run, const std::string& reason) {
  std::error_code ignored;
  if (!std::filesystem::exists(home / "home.db", ignored))
    return refuse(exit_not_found, "no home at " + std::filesystem::absolute(home).string());
  RealClock clock;
  auto store = store::HomeStore::open(home.string(), store::HomeStore::Mode::read_write, clock.wall());
  if (!store) return refuse(exit_failed, store.error().explain);
  auto loaded = (*store)->load();
  if (!loaded) return refuse(exit_failed, loaded.error().explain);
  const shell::LatchFile latch(home / "latch");
  const auto written = latch.read();
  const bool run_is_latched =
      !run.empty() && loaded->state.runs.contains(core::RunId{run}) &&
      (loaded->state.runs.at(core::RunId{run}).latch || loaded->state.runs.at(core::RunId{run}).hold);
  const bool home_is_latched = loaded->state.latch.has_value() || (written && written->run.empty());
  if (run.empty() ? !home_is_latched : !run_is_latched && !home_is_latched) {
    return refuse(exit_not_found, (run.empty() ? "this home" : "run " + run) + " is neither latched nor held");
  }

  boost::asio::io_context io;
  shell::Surroundings around;
  around.journal_failed = [](const std::string& why) {
    std::cerr << "overnight: the journal cannot be written: " << why << "\n";
    std::_Exit(exit_failed);
  };
  const core::Epoch epoch{core::number(loaded->state.epoch) + 1};
  {
    shell::Loop loop(io, clock, **store, std::move(around));
    loop.open(std::move(*loaded), {}, "release", epoch);
    const std::string by = "user:" + std::to_string(getuid());
    if (run_is_latched) loop.post(core::ReleaseRequested{core::RunId{run}, by, reason});
    if (home_is_latched) loop.post(core::ReleaseRequested{std::nullopt, by, reason});
    loop.drain();
  }
  std::filesystem::remove(home / "HALT", ignored);
  if (auto opened = latch.open_again(); !opened) return refuse(exit_failed, opened.error());
  std::cout << "released" << (run.empty() ? "" : ": overnight resume " + run + " goes on with it") << "\n";
  return exit_done;
}

}  // namespace overnight::cli
