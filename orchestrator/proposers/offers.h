// Proposals that a model or an outside program wrote, from their JSON to points of the space. Pure; used by the
// proposers `llm` and `command`. Strict: what is not exactly a proposal is refused with a reason that its author can
// act on.
//
// Lenient on purpose, and nowhere else: a whole number may be written as 4.0; a conditional parameter that is not
// active may be there, or be null; `hypothesis` and `parents` may be missing or null; parents that were never run are
// dropped (they are a remark on where an idea came from, not worth a proposal).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <vector>

#include "orchestrator/ports/proposer.h"

namespace overnight::proposers {

inline constexpr std::size_t hypothesis_bytes_max = 600;  // longer ones are cut; the schema asks for 400 characters
inline constexpr std::size_t parents_max = 8;
inline constexpr std::size_t text_value_bytes_max = 256;  // of a parameter

struct Offers {
  std::vector<core::Proposal> proposals;
  std::int64_t refused = 0;
  std::string problem;  // of the first one that was refused: "proposals[1].params.depth: 12 is above 8"

  // "2 of its proposals were refused: ..."; empty if none was.
  std::string remark() const;
};

// A point of the space, or why it is none.
budgets::Result<core::Params, std::string> params_of(const nlohmann::json& object, const core::Space& space);

// At most `count` of the list; what is beyond is refused.
Offers offers_of(const nlohmann::json& list, const core::Space& space, const std::set<core::ExperimentId>& known,
                 std::int64_t count);

// Params as JSON, in the order of the names.
nlohmann::json json_of(const core::Params& params);
nlohmann::json json_of(const core::ParamValue& value);

}  // namespace overnight::proposers
