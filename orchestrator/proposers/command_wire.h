// The lines that an outside proposer and this program exchange: one JSON object a line, as docs/proposer-protocol.md
// tells it. Pure. What comes back is hostile: bounded, read strictly, refused with a reason.
#pragma once

#include <string>

#include "orchestrator/ports/proposer.h"

namespace overnight::proposers {

inline constexpr int wire_protocol = 1;
inline constexpr std::size_t wire_line_bytes_max = 1 << 20;  // of one line that comes back

// {"type":"hello",...}: the study, once after each start. All lines end with a newline.
std::string hello_line(const core::Study& study, const std::string& proposer);
// {"type":"tell",...}: a finished trial, in order of completion.
std::string tell_line(const ports::KnownTrial& trial);
// {"type":"ask",...}: wants {"type":"offers",...} or {"type":"failure",...} in answer.
std::string ask_line(const ports::AskRequest& request);

// The answer to `request`, or why the line is none. Proposals that are no points of the space are counted as refused;
// if nothing is left, the answer is a failure.
budgets::Result<ports::Answer, std::string> answer_of(const std::string& line, const ports::AskRequest& request,
                                                      const core::Space& space);

}  // namespace overnight::proposers
