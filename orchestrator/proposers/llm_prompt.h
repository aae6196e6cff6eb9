// What a model is told: who it is, the space, the objective, the form of the answer, what is known of the run. Pure.
//
// The system text is the same for every ask of a run, so that servers can cache it. The form of the answer is restated
// there, because many servers enforce a schema without showing it to the model. Everything that programs or models
// wrote stands between <data> and </data>, quoted, and the model is told that it is data.
#pragma once

#include <string>
#include <vector>

#include "orchestrator/ports/proposer.h"

namespace overnight::proposers {

struct ChatMessage {
  std::string role;  // system, user, assistant
  std::string content;
  bool operator==(const ChatMessage&) const = default;
};

inline constexpr std::size_t history_bytes_max = 24 * 1024;   // of the digest; about 8,000 tokens
inline constexpr std::size_t bad_reply_bytes_max = 4 * 1024;  // of a reply that is shown to its author again
inline constexpr std::size_t problem_bytes_max = 600;         // of what was wrong with it
inline constexpr std::size_t repair_text_bytes_max = 1024;    // around the two

std::string system_text(const core::Study& study, const std::string& brief);

// One parameter in words: "depth: a whole number from 1 to 8".
std::string words_of(const core::Dimension& dimension);

// `history_bytes` bounds the digest; a context that overflowed is tried again with less.
std::string user_text(const core::Study& study, const ports::AskRequest& request, std::int64_t count,
                      std::size_t history_bytes);

// The turns that follow a reply which could not be used.
std::vector<ChatMessage> repair_turns(const std::string& bad_reply, const std::string& problem, std::int64_t count);

}  // namespace overnight::proposers
