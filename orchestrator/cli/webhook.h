// Tells an address of the study's choice that a run has ended, however it ended. Harmless: bounded in time and tries,
// and a failure only makes a line.
#pragma once

#include <string>

namespace overnight::cli {

// POSTs `body` as JSON; empty if it was taken (status 2xx), else why not, without the address (it may hold a secret).
// A refusal that will not change (status 4xx but 408 and 429) is not tried again.
std::string post_webhook(const std::string& url, const std::string& body);

inline constexpr int webhook_tries_max = 3;
inline constexpr int webhook_try_ms_max = 10'000;  // of one try; with the pauses 32 s in all

}  // namespace overnight::cli
