// sim [--seed N] [--seeds N] [--bug NAME]: one seed with its trace, or many from 1 on.
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "tests/sim/planted.h"
#include "tests/sim/seeds.h"

int main(int argc, char** argv) {
  using namespace overnight::sim;
  std::uint64_t first = 1, count = 1000;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--seed") == 0) first = std::strtoull(argv[i + 1], nullptr, 10), count = 1;
    if (std::strcmp(argv[i], "--seeds") == 0) count = std::strtoull(argv[i + 1], nullptr, 10);
    if (std::strcmp(argv[i], "--bug") == 0) {
      for (const PlantedBug& bug : planted_bugs) {
        if (bug.name == argv[i + 1]) plant(bug.bug);
      }
    }
  }
  Tried tried;
  const auto found = try_seeds(first, count, tried);
  for (const auto& [name, times] : tried.counts) std::cout << times << "\t" << name << "\n";
  std::cout << tried.seeds << " seeds, " << tried.inputs << " inputs, " << tried.lives << " lives, " << tried.runs_ended
            << " runs ended for good\n";
  if (!found) return 0;
  std::cout << found->trace << "seed " << found->seed << " broke: " << found->how << "\n";
  return 1;
}
