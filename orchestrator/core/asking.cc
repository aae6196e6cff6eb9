// When proposers are asked, and which. Rules, in order:
//   1. only while the search goes on, and only if at least one more experiment could be paid for after what is queued;
//   2. ahead of need: as many queued search trials as there are slots, so that the latency of an LLM never idles a
//   slot;
//   3. one ask at a time for each proposer; a proposer that failed waits its back-off;
//   4. the one that is furthest behind its share is asked; one that is slow to answer is not waited for, others step in
//   and it
//      catches up later. Every proposal carries the name of the proposer that made it;
//   5. no ask without a reservation of its worst case, and none whose answer could not be run afterwards.
#include <algorithm>

#include "orchestrator/core/handlers.h"

namespace overnight::core {
namespace {

struct Demand {
  std::int64_t queued = 0;  // search trials waiting for a slot
  std::int64_t wanted = 0;  // further proposals
  std::int64_t asked = 0;   // proposals in open asks
};

Demand demand_of(const State& state, const Run& run) {
  Demand demand;
  for (const auto& [_, trial] : run.trials) {
    if (!trial.running && (trial.purpose == Purpose::search || trial.purpose == Purpose::enqueued)) ++demand.queued;
  }
  for (const auto& [_, ask] : run.asks) demand.asked += ask.count;
  const auto slots = static_cast<std::int64_t>(state.slots.size());
  const std::int64_t ahead = std::max<std::int64_t>(2, slots);
  std::int64_t room = ahead - demand.queued;
  const std::int64_t left = run.ledger.left().experiments.count() - demand.asked;
  demand.wanted =
      std::clamp<std::int64_t>(std::min(room - demand.asked, left), 0, static_cast<std::int64_t>(offers_per_ask_max));
  return demand;
}

bool affords_more(const Run& run, const Demand& demand) {
  const budgets::Cost one = worst_case_launch(run.study);
  budgets::Cost all = one;
  // Only the first queued ones are counted at their worst: most give a large part of it back.
  for (std::int64_t i = 0; i < std::min<std::int64_t>(demand.queued, 2); ++i) all = all + one;
  return run.ledger.affords(all).has_value();
}

bool is_asked(const Run& run, std::size_t proposer) {
  return std::any_of(run.asks.begin(), run.asks.end(),
                     [&](const auto& entry) { return entry.second.proposer == proposer; });
}

// How much of its share a proposer has had; lower is hungrier.
double served(const Run& run, std::size_t proposer) {
  return static_cast<double>(run.proposers[proposer].admitted) / run.study.proposers[proposer].share;
}

std::optional<std::size_t> hungriest(const Turn& turn, const Run& run) {
  std::optional<std::size_t> chosen;
  for (std::size_t i = 0; i < run.proposers.size(); ++i) {
    const ProposerBook& book = run.proposers[i];
    if (book.exhausted || book.not_before > turn.now() || is_asked(run, i)) continue;
    if (!run.ledger.affords(run.ask_worst_case[i] + worst_case_launch(run.study))) continue;
    if (!chosen || served(run, i) < served(run, *chosen)) chosen = i;
  }
  return chosen;
}

void ask(Turn& turn, Run& run, std::size_t proposer, std::int64_t count) {
  const auto reservation = run.ledger.reserve(run.ask_worst_case[proposer]);
  if (!reservation) return;
  const AskId id{turn.state.next_ask++};
  run.asks.emplace(id, OpenAsk{id, proposer, *reservation, count, turn.now()});
  ++run.proposers[proposer].asks;
  Ask action{id,
             run.id,
             run.study.proposers[proposer].name,
             count,
             mix(turn.input.seed, static_cast<std::uint64_t>(number(id))),
             {}};
  for (const auto& [_, experiment] : run.experiments) action.pending.push_back(experiment.params);
  turn.act(std::move(action));
  for (const RunPart part : {RunPart::status, RunPart::ledger, RunPart::work}) turn.touch(run, part);
}

}  // namespace

void ask_proposers(Turn& turn) {
  for (auto& [_, run] : turn.state.runs) {
    if (!admits(turn.state, run) || run.stage != Stage::searching || !run.search_ended.empty()) continue;
    // Bounded by the number of proposers: each is asked at most once at a time.
    for (std::size_t i = 0; i < run.proposers.size(); ++i) {
      const Demand demand = demand_of(turn.state, run);
      // A slow proposer's open ask does not count while slots would stand empty: others step in, for the last
      // experiments of the budget too.
      const bool starving = demand.queued == 0 && demand.asked > 0 && run.attempts.size() < turn.state.slots.size();
      const std::int64_t count =
          starving ? std::min<std::int64_t>(static_cast<std::int64_t>(turn.state.slots.size() - run.attempts.size()),
                                            run.ledger.left().experiments.count())
                   : demand.wanted;
      if (count <= 0 || !affords_more(run, demand)) break;
      const auto proposer = hungriest(turn, run);
      if (!proposer) break;
      ask(turn, run, *proposer, count);
    }
  }
}

}  // namespace overnight::core
