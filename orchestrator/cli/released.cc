#include "orchestrator/cli/released.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "orchestrator/cli/chosen_run.h"
#include "orchestrator/cli/exit_codes.h"
#include "orchestrator/cli/halts_on_disk.h"
#include "orchestrator/cli/people.h"
#include "orchestrator/cli/real_clock.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/shell/loop.h"
#include "orchestrator/store/home_store.h"

namespace overnight::cli {

namespace {

namespace fs = std::filesystem;

bool is_stopped(const core::State& state, const std::optional<core::RunId>& run) {
  if (!run) return state.latch.has_value();
  const auto found = state.runs.find(*run);
  return found != state.runs.end() && (found->second.latch || found->second.hold);
}

// What could be released instead, for who named nothing or the wrong run.
std::string others(const core::State& state) {
  std::string text;
  for (const auto& [id, run] : state.runs) {
    if (!run.latch && !run.hold) continue;
    text += "; run " + id.text + (run.latch ? " is latched" : " is held") + ": overnight release " + id.text +
            " --reason WHY";
  }
  return text;
}

}  // namespace

void print_released(const std::vector<std::optional<core::RunId>>& lifted, bool as_json) {
  nlohmann::json out{{"released", nlohmann::json::array()}, {"home", false}};
  for (const auto& one : lifted) {
    if (one) out["released"].push_back(one->text);
    if (!one) out["home"] = true;
    if (!as_json) std::cout << "released " << (one ? "run " + one->text : "the home") << "\n";
  }
  if (as_json) std::cout << out.dump(2) << "\n";
}

int release_stored(const fs::path& home, const std::optional<core::RunId>& run, const std::string& reason,
                   bool as_json) {
  std::error_code ignored;
  if (!fs::exists(home / "home.db", ignored)) {
    const NotChosen none = no_home_at(home);
    return refuse(none.code, none.why);
  }
  RealClock clock;
  auto store = store::HomeStore::open(home.string(), store::HomeStore::Mode::read_write, clock.wall());
  if (!store) return refuse(exit_code_of(store.error()), store.error().explain);
  auto loaded = (*store)->load();
  if (!loaded) return refuse(exit_failed, loaded.error().explain);
  const auto halts = halts_on_disk(home, loaded->state);

  boost::asio::io_context io;
  shell::Surroundings around;
  around.journal_failed = [](const std::string& why) {
    std::cerr << "overnight: the journal cannot be written: " << why << "\n";
    std::_Exit(exit_failed);
  };
  const core::Epoch epoch{core::number(loaded->state.epoch) + 1};
  shell::Loop loop(io, clock, **store, std::move(around));
  loop.open(std::move(*loaded), {}, "release", epoch);
  // First what the journal does not know yet, so that it shows what was released.
  for (const core::HaltRequested& halt : halts) loop.post(halt);
  loop.drain();
  std::vector<std::optional<core::RunId>> lifted;
  for (const auto& [id, _] : loop.state().runs) {
    if ((!run || *run == id) && is_stopped(loop.state(), id)) lifted.push_back(id);
  }
  if (is_stopped(loop.state(), std::nullopt)) lifted.push_back(std::nullopt);
  if (lifted.empty())
    return refuse(exit_not_found,
                  (run ? "run " + run->text : "this home") + " is neither latched nor held" + others(loop.state()));
  for (const auto& one : lifted) loop.post(core::ReleaseRequested{one, user_words(getuid()), reason});
  loop.drain();
  for (const auto& one : lifted) {
    if (const auto opened = lift_on_disk(home, one); !opened) return refuse(exit_failed, opened.error());
  }
  print_released(lifted, as_json);
  if (run && !as_json) std::cout << "overnight resume " << run->text << " goes on with it\n";
  return exit_done;
}

}  // namespace overnight::cli
