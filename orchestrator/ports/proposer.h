// Port: where proposals come from. A resource; one per proposer of a run. Blocking: the shell asks on a thread of its
// own and posts the answer back as one input, so a slow LLM never idles a slot. At most one ask at a time per proposer.
//
// A proposer's memory is a fold over history: the same history, pending list and seed give the same offers, and after a
// crash nothing is lost. (An LLM and an outside program are exceptions only in what they answer, not in what they
// remember.)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "budgets/cost.h"
#include "orchestrator/core/events.h"
#include "orchestrator/ports/history.h"

namespace overnight::ports {

struct AskRequest {
  core::AskId ask{};
  std::int64_t count = 1;  // proposals wanted, at most core::offers_per_ask_max
  std::uint64_t seed = 0;
  std::vector<core::Params> pending;  // admitted and not finished
  History history;                    // in order of completion
};

struct Answer {
  std::vector<core::Proposal> proposals;  // at most `count`
  std::string failure;                    // a sentence for people; empty: success
  bool exhausted = false;                 // nothing more will ever come
  budgets::Cost used;                     // tokens, money
  bool cost_unknown = false;              // settle the whole reservation
  std::int64_t refused = 0;               // proposals that were unusable
  budgets::Millis wait;                   // with a failure: asked for before the next ask; 0: nothing was said
  std::string remark;                     // what people should know though nothing failed; empty: nothing
  bool operator==(const Answer&) const = default;
};

class Proposer {
 public:
  Proposer() = default;
  Proposer(const Proposer&) = delete;
  Proposer& operator=(const Proposer&) = delete;
  virtual ~Proposer() = default;

  // The worst that one ask can cost, repairs and retries included; reserved before it is asked.
  virtual budgets::Cost worst_case() const = 0;

  virtual Answer ask(const AskRequest& request) = 0;

  // From another thread, for good: makes an ask in progress return soon, with a failure, and later ones at once.
  virtual void cancel() = 0;
};

}  // namespace overnight::ports
