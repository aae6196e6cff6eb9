// Answers of proposers and what people push. A proposal is admitted when it lies in the space, was never seen, and can
// be paid for.
#include <algorithm>

#include "budgets/invariant.h"
#include "orchestrator/core/handlers.h"

namespace overnight::core {
namespace {

enum class Admission { admitted, duplicate, refused, unaffordable, full };

Admission try_admit(Turn& turn, Run& run, const Proposal& proposal, Purpose purpose, const std::string& source,
                    std::int64_t cursor) {
  auto point = canonical(run.study.space, proposal.params);
  if (!point) return Admission::refused;
  std::string hash = canonical_hash(*point);
  if (run.seen.contains(hash)) return Admission::duplicate;
  if (run.trials.size() >= trials_queued_max) return Admission::full;
  const auto paid = run.ledger.reserve({.experiments = budgets::Experiments::of(1)});
  if (!paid) return Admission::unaffordable;
  run.ledger.settle(*paid, {.experiments = budgets::Experiments::of(1)});
  turn.touch(run, RunPart::ledger);
  ++run.counts.admitted;
  const ExperimentId id = admit(turn, run, std::move(*point), std::move(hash), purpose, source, proposal.hypothesis,
                                proposal.parents, cursor);
  queue_trial(turn, run, id, purpose, 0);
  return Admission::admitted;
}

// Why a proposal that a person pushed was not admitted.
std::string why_not(const Run& run, const Proposal& proposal, Admission how) {
  switch (how) {
    case Admission::admitted:
      return "";
    case Admission::duplicate:
      return "known already";
    case Admission::refused: {
      const auto point = canonical(run.study.space, proposal.params);
      return point ? "" : point.error().explain;
    }
    case Admission::unaffordable:
      return "no experiment is left in the budget";
    case Admission::full:
      return "the queue is full";
  }
  return "";
}

void settle_ask(Run& run, const OpenAsk& ask, const OffersArrived& event, ProposerBook& book) {
  const budgets::Cost before = run.ledger.settled() + run.ledger.overrun();
  if (event.cost_unknown) {
    run.ledger.settle_unknown(ask.reservation);
  } else {
    // An ask takes tokens and money, never less than nothing, and one action; a proposer can claim no more kinds.
    run.ledger.settle(ask.reservation, {.actions = budgets::Actions::of(1),
                                        .money = std::max(event.used.money, budgets::MicroUsd{}),
                                        .tokens = std::max(event.used.tokens, budgets::Tokens{})});
  }
  book.used = book.used + (run.ledger.settled() + run.ledger.overrun() - before);
}

// The longest back-off is reached by failures; from there on only asks that brought nothing but known points count, and
// ten of them in a row mean that there is nothing else.
constexpr std::int64_t failures_counted_max = ask_failures_backoff_max + 1;
constexpr std::int64_t useless_asks_max = failures_counted_max + 10;

// A server that is at its limit says when to come again; what it says is not believed beyond this.
constexpr Millis asked_wait_max = budgets::seconds(3600);

void back_off(Turn& turn, ProposerBook& book, bool failed, Millis asked = {}) {
  ++book.failures;
  ++book.failures_in_a_row;
  if (failed) book.failures_in_a_row = std::min(book.failures_in_a_row, failures_counted_max);
  const std::int64_t doublings = std::min(book.failures_in_a_row - 1, ask_failures_backoff_max);
  const Millis own = ask_backoff * (std::int64_t{1} << doublings);
  book.not_before = turn.now() + std::max(own, std::min(asked, asked_wait_max));
}

// One failed ask is everyday's; a proposer that falls silent, or speaks again, is news of the night.
void tell_silence(Turn& turn, Run& run, const std::string& source, ProposerBook& book, const std::string& failure) {
  if (failure.empty()) {
    if (book.silent_in_a_row >= silences_told) turn.note(run.id, "proposer", source + " answers again");
    book.silent_in_a_row = 0;
    return;
  }
  book.last_failure = failure.substr(0, failure_kept_bytes);
  turn.note(run.id, "ask", source + " did not answer: " + failure);
  if (++book.silent_in_a_row == silences_told)
    turn.note(run.id, "proposer",
              source + " has not answered " + std::to_string(silences_told) + " times in a row: " + book.last_failure);
}

// Takes the offers one by one; returns how many were admitted.
std::int64_t take_offers(Turn& turn, Run& run, const OffersArrived& event, ProposerBook& book,
                         const std::string& source) {
  std::int64_t admitted = 0;
  const std::size_t taken = std::min(event.proposals.size(), offers_per_ask_max);
  const std::int64_t unusable = event.refused + static_cast<std::int64_t>(event.proposals.size() - taken);
  book.offered += unusable;  // so that it is the sum of what became of them
  book.refused += unusable;
  for (std::size_t i = 0; i < taken; ++i) {
    ++book.offered;
    switch (try_admit(turn, run, event.proposals[i], Purpose::search, source, event.history_cursor)) {
      case Admission::admitted:
        ++book.admitted, ++admitted;
        break;
      case Admission::duplicate:
        ++book.duplicates, ++run.counts.duplicates;
        break;
      case Admission::refused:
        ++book.refused;
        break;
      case Admission::unaffordable:
      case Admission::full:
        break;  // the search is over, or asks again later
    }
  }
  return admitted;
}

}  // namespace

void give_up_asks(Turn& turn, Run& run) {
  for (const auto& [id, ask] : std::map(run.asks)) {
    if (turn.now() - ask.asked < ask_patience) continue;
    OffersArrived nothing{run.id, id};
    nothing.failure = "no answer within " + in_words(ask_patience) + "; what it would have brought is not waited for";
    nothing.cost_unknown = true;
    on(turn, nothing);
  }
}

void on(Turn& turn, const OffersArrived& event) {
  Run* run = find_run(turn.state, event.run);
  if (run == nullptr) return;
  const auto open = run->asks.find(event.ask);
  if (open == run->asks.end()) return;  // answered or given up before
  const OpenAsk ask = open->second;
  run->asks.erase(open);
  INVARIANT(ask.proposer < run->proposers.size(), "an ask belongs to a proposer of its study");
  ProposerBook& book = run->proposers[ask.proposer];
  const std::string& source = run->study.proposers[ask.proposer].name;
  settle_ask(*run, ask, event, book);
  for (const RunPart part : {RunPart::status, RunPart::ledger, RunPart::work}) turn.touch(*run, part);

  if (event.exhausted) book.exhausted = true;
  if (!event.remark.empty()) turn.note(run->id, "ask", source + ": " + event.remark);
  // What arrives when nothing is admitted any more is not lost money: it was settled above. It is not admitted either.
  const bool wanted = !run->pending_end && !run->end && run->search_ended.empty();
  if (wanted && !event.failure.empty()) back_off(turn, book, true, event.wait);
  if (wanted) tell_silence(turn, *run, source, book, event.failure);
  const std::int64_t duplicates_before = book.duplicates, refused_before = book.refused;
  const std::int64_t admitted = wanted ? take_offers(turn, *run, event, book, source) : 0;
  const std::int64_t known = book.duplicates - duplicates_before;
  const bool fruitless = known > 0 && known == static_cast<std::int64_t>(event.proposals.size()) && event.refused == 0;
  if (event.failure.empty() && (admitted > 0 || event.exhausted)) book.failures_in_a_row = 0;
  if (!wanted || (event.exhausted && event.failure.empty())) return;
  if (admitted == 0 && event.failure.empty()) {
    back_off(turn, book, !fruitless);
    turn.note(run->id, "duplicate",
              source + " offered nothing new: " + std::to_string(known) + " known, " +
                  std::to_string(book.refused - refused_before) + " refused");
  }
  if (fruitless && event.failure.empty()) {  // nothing is broken: a small space comes to its end
    if (book.failures_in_a_row < useless_asks_max) return;
    book.exhausted = true;
    turn.note(run->id, "ask", source + " is at its end: again and again it brought only points that are known");
    return;
  }
  if (auto tripped = budgets::observe_proposer(run->breakers, run->study.governor.breakers, admitted > 0))
    trip(turn, *run, *tripped);
}

void on(Turn& turn, const Enqueued& event) {
  Run* run = find_run(turn.state, event.run);
  if (run == nullptr) return;
  if (run->pending_end || run->end || run->draining) {
    turn.note(run->id, "enqueue", event.by + " enqueued too late: the run is ending");
    return;
  }
  if (run->stage == Stage::confirming) {  // what is left was set aside for the confirmation
    turn.note(run->id, "enqueue", event.by + " enqueued too late: the search is over (" + run->search_ended + ")");
    return;
  }
  std::int64_t admitted = 0;
  std::string refused;  // why, of the first few
  for (std::size_t i = 0, told = 0; i < event.proposals.size(); ++i) {
    const Admission how =
        try_admit(turn, *run, event.proposals[i], Purpose::enqueued, "enqueue", run->counts.trials_finished);
    if (how == Admission::admitted) {
      ++admitted;
    } else if (told++ < refusals_told_max) {
      refused += "; number " + std::to_string(i + 1) + ": " + why_not(*run, event.proposals[i], how);
    }
  }
  turn.touch(*run, RunPart::status);
  turn.note(run->id, "enqueue",
            event.by + " enqueued " + counted(static_cast<std::int64_t>(event.proposals.size()), "proposal") + ", " +
                std::to_string(admitted) + " admitted" + refused);
}

}  // namespace overnight::core
