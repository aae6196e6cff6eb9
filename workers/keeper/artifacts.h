// What a task left in artifacts/, made safe for whoever reads it next: evaluate, the blob store, a person.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace overnight::workers {

struct ArtifactSweep {
  std::int64_t bytes = 0;            // of regular files, apparent size
  std::vector<std::string> removed;  // names of the first few things that were removed (for the receipt)
  std::int64_t removed_count = 0;
  bool complete = true;  // false: there was more than a sweep looks at
};

// Removes FIFOs, sockets, devices, links that lead out of the folder or nowhere, and folders nested deeper than 64;
// gives locked folders back. Opens no file. The tree that wrote here must be dead.
ArtifactSweep sweep_artifacts(int artifacts_folder);

}  // namespace overnight::workers
