#include "tests/sim/seeds.h"

#include "budgets/invariant.h"
#include "orchestrator/core/invariants.h"

namespace overnight::sim {
namespace {

// An invariant of the core ends the program; here it is a finding like any other.
void broken(const char* must_hold) { throw Broken(must_hold, "an invariant of the core"); }

constexpr std::size_t trace_lines = 25;

}  // namespace

std::optional<Finding> try_seeds(std::uint64_t first, std::uint64_t count, Tried& tried) {
  budgets::on_invariant_broken(broken);
  core::InvariantCounts core_counts;
  core::count_invariants(&core_counts);
  std::optional<Finding> found;
  for (std::uint64_t seed = first; seed < first + count && !found; ++seed) {
    World world(draw(seed), tried.counts);
    try {
      world.run();
    } catch (const Broken& broken) {
      found = Finding{seed, broken.name, broken.what(), world.trace(trace_lines)};
    }
    ++tried.seeds;
    tried.inputs += static_cast<std::int64_t>(world.journal().entries.size());
    tried.lives += world.lives();
    tried.runs_ended += static_cast<std::int64_t>(world.journal().ended.size());
  }
  core::count_invariants(nullptr);
  budgets::on_invariant_broken(nullptr);
  for (const auto& [name, times] : core_counts.evaluated) tried.counts[std::string(name)] += times;
  return found;
}

}  // namespace overnight::sim
