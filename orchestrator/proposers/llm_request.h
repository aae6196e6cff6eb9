// The body of a chat-completions request, in the dialect that a server understands. Pure.
//
// Servers that call themselves compatible differ in what they take. A request begins in the strictest form; a 400 that
// names the part which the server does not know steps down one rung, and the proposer remembers it for the rest of its
// life.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "orchestrator/core/space.h"
#include "orchestrator/proposers/llm_prompt.h"

namespace overnight::proposers {

struct Dialect {
  enum class Format { schema_with_lengths, schema, json_object, text };
  Format format = Format::schema_with_lengths;  // response_format
  bool max_completion_tokens = false;           // the newer name of max_tokens
  bool temperature = true;                      // sent if the study names one
  bool seed = true;
  bool operator==(const Dialect&) const = default;
};

// The next rung after a refusal that names a part of the request; none if the refusal is about something else or there
// is no lower rung. `remark` tells people what was given up.
struct SteppedDown {
  Dialect dialect;
  std::string remark;
};
std::optional<SteppedDown> stepped_down(const Dialect& dialect, const std::string& refusal);

inline constexpr int dialect_steps_max = 6;  // rungs that there are, all together

struct ChatRequest {
  std::string model;
  std::vector<ChatMessage> messages;
  std::int64_t max_tokens = 0;
  std::optional<double> temperature;
  std::uint64_t seed = 0;
};

std::string body_of(const ChatRequest& request, const core::Space& space, std::int64_t count, const Dialect& dialect);

// The JSON schema of an answer: every key required, nothing else allowed; what is optional may be null. No ranges: not
// every server takes them, and the reply is checked here anyway.
std::string schema_of(const core::Space& space, bool with_lengths);

}  // namespace overnight::proposers
