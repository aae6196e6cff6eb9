// What came back: from the body of a chat completion to the model's text, and from its text to proposals. Pure; strict.
//
// Lenient on purpose with the model's text, and nowhere else (offers.h has the rest):
//   1. one block <think>...</think> before the answer is removed: reasoning models put it there;
//   2. one code fence around the whole answer is removed: small models cannot leave it;
//   3. a lone object of parameters counts as one proposal: small models drop the frame.
// Text before or behind, a second object, a key twice, a bare list: refused, and the model is told.
#pragma once

#include <optional>
#include <string>

#include "budgets/units.h"
#include "orchestrator/proposers/offers.h"

namespace overnight::proposers {

inline constexpr std::size_t reply_text_bytes_max = 512 * 1024;  // of the model's text
inline constexpr std::size_t reply_body_bytes_max = 4 << 20;     // of the whole HTTP body
inline constexpr std::int64_t usage_tokens_max = 1'000'000'000;  // a larger number is no usage

struct Usage {
  budgets::Tokens input, output;
  bool operator==(const Usage&) const = default;
};

struct ChatReply {
  std::string text;   // what the model said
  std::string model;  // that the server says it used; empty if it does not say
  std::string finish_reason;
  std::optional<Usage> usage;  // none: nobody knows what it cost
  std::string refusal;         // the model's or a filter's; empty: none
  bool operator==(const ChatReply&) const = default;
};

// An error that a server put into a body, with a 200 or with the status that it names.
struct ServerError {
  int status = 0;       // 0: it names none
  std::string message;  // with type and code: all that the server says
};

struct BodyRead {
  std::optional<ChatReply> reply;
  std::optional<ServerError> error;
  std::string problem;  // neither: why the body is no chat completion
};
BodyRead read_body(const std::string& body);

// The message of an error body; the start of the body if it is no JSON.
std::string error_message(const std::string& body);

// The one JSON object in the model's text, or a sentence for the model that tells what is wrong.
budgets::Result<nlohmann::json, std::string> object_in(const std::string& text);

// The offers in the model's text. `problem` is empty if everything was good.
Offers offers_in(const std::string& text, const core::Space& space, const std::set<core::ExperimentId>& known,
                 std::int64_t count);

}  // namespace overnight::proposers
