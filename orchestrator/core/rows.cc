#include "orchestrator/core/rows.h"

#include "orchestrator/core/codec.h"
#include "orchestrator/core/digest.h"

namespace overnight::core {
namespace {

using nlohmann::json;

void write_status(JsonText& out, const Run& run) {
  out.begin_object()
      .field("id", run.id)
      .field("started", run.started)
      .field("until", run.until)
      .field("ask_worst_case", run.ask_worst_case)
      .field("stage", run.stage)
      .field("live", run.live)
      .field("wall_used", run.wall_used)
      .field("charged_until", run.charged_until)
      .field("wall_grant", run.wall_grant)
      .field("draining", run.draining)
      .field("search_ended", run.search_ended)
      .field("hold", run.hold)
      .field("latch", run.latch)
      .field("halt", run.halt)
      .field("pending_end", run.pending_end)
      .field("end", run.end)
      .field("breakers", run.breakers)
      .field("canaries", run.canaries)
      .field("counts", run.counts)
      .field("longest_took", run.longest_took)
      .field("proposers", run.proposers)
      .field("baseline_detail", run.baseline_detail)
      .end_object();
}

void read_status(const json& j, Run& run) {
  j.at("id").get_to(run.id);
  j.at("started").get_to(run.started);
  j.at("until").get_to(run.until);
  j.at("ask_worst_case").get_to(run.ask_worst_case);
  j.at("stage").get_to(run.stage);
  j.at("live").get_to(run.live);
  j.at("wall_used").get_to(run.wall_used);
  j.at("charged_until").get_to(run.charged_until);
  j.at("wall_grant").get_to(run.wall_grant);
  j.at("draining").get_to(run.draining);
  j.at("search_ended").get_to(run.search_ended);
  j.at("hold").get_to(run.hold);
  j.at("latch").get_to(run.latch);
  j.at("halt").get_to(run.halt);
  j.at("pending_end").get_to(run.pending_end);
  j.at("end").get_to(run.end);
  j.at("breakers").get_to(run.breakers);
  j.at("canaries").get_to(run.canaries);
  j.at("counts").get_to(run.counts);
  j.at("longest_took").get_to(run.longest_took);
  j.at("proposers").get_to(run.proposers);
  j.at("baseline_detail").get_to(run.baseline_detail);
}

void write_part(JsonText& out, const Run& run, RunPart part) {
  switch (part) {
    case RunPart::status:
      write_status(out, run);
      return;
    case RunPart::ledger:
      out.begin_object().field("ledger", run.ledger).field("set_aside", run.set_aside).end_object();
      return;
    case RunPart::work:
      out.begin_object()
          .field("trials", run.trials)
          .field("experiments", run.experiments)
          .field("attempts", run.attempts)
          .field("asks", run.asks)
          .field("dropping", run.dropping)
          .end_object();
      return;
    case RunPart::leaders:
      out.begin_object()
          .field("baseline", run.baseline)
          .field("leaders", run.leaders)
          .field("best", run.best)
          .field("best_experiment", run.best_experiment)
          .end_object();
      return;
  }
}

void read_part(const json& j, RunPart part, Run& run) {
  switch (part) {
    case RunPart::status:
      read_status(j, run);
      return;
    case RunPart::ledger:
      j.at("ledger").get_to(run.ledger);
      j.at("set_aside").get_to(run.set_aside);
      return;
    case RunPart::work:
      j.at("trials").get_to(run.trials);
      j.at("experiments").get_to(run.experiments);
      j.at("attempts").get_to(run.attempts);
      j.at("asks").get_to(run.asks);
      j.at("dropping").get_to(run.dropping);
      return;
    case RunPart::leaders:
      j.at("baseline").get_to(run.baseline);
      j.at("leaders").get_to(run.leaders);
      j.at("best").get_to(run.best);
      j.at("best_experiment").get_to(run.best_experiment);
      return;
  }
}

// a += b or a -= b, as 256-bit numbers, little end first.
void accumulate(Digest& a, const Digest& b, bool add) {
  int carry = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const int sum = add ? a[i] + b[i] + carry : a[i] - b[i] + carry;
    a[i] = static_cast<std::uint8_t>(sum & 255);
    carry = add ? sum >> 8 : (sum < 0 ? -1 : 0);
  }
}

}  // namespace

std::string home_row(const State& state) {
  JsonText out;
  out.begin_object()
      .field("logic_version", logic_version)
      .field("epoch", state.epoch)
      .field("boot", state.boot)
      .field("slots", state.slots)
      .field("latch", state.latch)
      .field("next_experiment", state.next_experiment)
      .field("next_trial", state.next_trial)
      .field("next_attempt", state.next_attempt)
      .field("next_ask", state.next_ask)
      .field("next_action", state.next_action)
      .end_object();
  return out.take();
}

std::string run_row(const Run& run, RunPart part) {
  JsonText out;
  write_part(out, run, part);
  return out.take();
}

budgets::Result<void, std::string> read_home_row(State& state, const std::string& row) {
  try {
    const json j = json::parse(row);
    if (const auto version = j.at("logic_version").get<int>(); version > logic_version) {
      return budgets::unexpected("the home was written by a newer version (logic " + std::to_string(version) +
                                 ", this is " + std::to_string(logic_version) + "); use that one");
    }
    j.at("epoch").get_to(state.epoch);
    j.at("boot").get_to(state.boot);
    j.at("slots").get_to(state.slots);
    j.at("latch").get_to(state.latch);
    j.at("next_experiment").get_to(state.next_experiment);
    j.at("next_trial").get_to(state.next_trial);
    j.at("next_attempt").get_to(state.next_attempt);
    j.at("next_ask").get_to(state.next_ask);
    j.at("next_action").get_to(state.next_action);
    return {};
  } catch (const std::exception& error) {
    return budgets::unexpected(std::string("home row: ") + error.what());
  }
}

budgets::Result<Run, std::string> read_run_rows(const std::map<std::string, std::string>& parts,
                                                const std::string& study) {
  std::string reading = "study";
  try {
    Run run;
    json::parse(study).get_to(run.study);
    for (const RunPart part : all_run_parts) {
      reading = std::string(name_of(part));
      read_part(json::parse(parts.at(reading)), part, run);
    }
    return run;
  } catch (const std::exception& error) {
    return budgets::unexpected("row \"" + reading + "\" of a run: " + error.what());
  }
}

void StateHash::put(const std::string& name, const std::string& row) {
  const auto found = rows_.find(name);
  if (found != rows_.end()) {
    accumulate(sum_, found->second, false);
    rows_.erase(found);
  }
  if (row.empty()) return;
  const Digest digest = sha256(name + "\n" + row);
  accumulate(sum_, digest, true);
  rows_.emplace(name, digest);
}

std::string StateHash::hex() const { return core::hex(sum_); }

void update_hash(StateHash& hash, const State& state, const Changes& changes,
                 std::map<std::string, std::string>& rows) {
  const auto put = [&](const std::string& name, std::string row) {
    hash.put(name, row);
    rows[name] = std::move(row);
  };
  if (changes.home_touched) put("home", home_row(state));
  for (const auto& [run, part] : changes.touched) {
    const auto found = state.runs.find(run);
    if (found != state.runs.end()) put(run.text + "/" + std::string(name_of(part)), run_row(found->second, part));
  }
  for (const Run& run : changes.ended) {
    for (const RunPart part : all_run_parts) {
      const std::string name = run.id.text + "/" + std::string(name_of(part));
      hash.put(name, "");
      rows[name] = run_row(run, part);  // kept by the store for readers, no longer part of State
    }
  }
}

}  // namespace overnight::core
