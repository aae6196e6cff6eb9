// What to do about an answer of the server, or about the lack of one. Pure: no clock, no waiting.
//
// Again (after a wait): 408, 409, 425, 429, 5xx, and connections that failed. Never again: other 4xx, spent quotas,
// redirects (the key would follow them), pages that are no API. A prompt that is too long is tried again shorter; a
// part of the request that the server does not know is left out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "budgets/time.h"
#include "orchestrator/proposers/http_client.h"
#include "orchestrator/proposers/llm_reply.h"

namespace overnight::proposers {

inline constexpr int tries_max = 8;                 // of one request, for faults that pass: about a minute and a half
inline constexpr int tries_before_contact_max = 3;  // while the server never answered: perhaps the address is wrong
inline constexpr budgets::Millis retry_after_max =
    budgets::seconds(60);  // a longer one is left to the core (Answer::wait)
inline constexpr budgets::Millis retry_wait_max = budgets::seconds(30);

enum class Next { use, again, shorter, other_dialect, give_up };

struct Verdict {
  Next next = Next::give_up;
  std::string reason;                         // for people; empty with `use`
  std::optional<budgets::Millis> asked_wait;  // by the server, with `again`
  bool cost_unknown = false;                  // the model may have worked for this, and nobody told for how much
  std::optional<ChatReply> reply;             // with `use`
};

Verdict verdict_of(const HttpReply& reply, std::int64_t now_unix_s);
Verdict verdict_of(const HttpFailure& failure);

// "7", "1.5", or an HTTP date; none if it is neither or lies in the past.
std::optional<budgets::Millis> wait_of_retry_after(const std::string& header, std::int64_t now_unix_s);

// Before try number `tries` + 1: doubled each time, at most retry_wait_max, with up to a quarter off by `seed`, so that
// proposers that failed together do not come back together.
budgets::Millis wait_before_retry(budgets::Millis first, int tries, std::uint64_t seed);

}  // namespace overnight::proposers
