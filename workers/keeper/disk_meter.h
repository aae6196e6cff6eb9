// How much disk an attempt's folder takes: allocated blocks and inodes, measured by walking it a bounded number of
// entries at a time, so that neither a million files nor a million folders stall the keeper. Never follows links. A
// folder that was locked (chmod 000) is opened up again: it is ours. Owns the walk's open folders.
#pragma once

#include <dirent.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "workers/keeper/descriptor.h"

namespace overnight::workers {

struct DiskUse {
  std::int64_t bytes = 0;
  std::int64_t inodes = 0;
  bool hidden = false;  // something lies too deep, or in a folder that cannot be opened, and was not counted
};

class DiskMeter {
 public:
  static constexpr int entries_per_look = 5000;  // about 10 ms
  static constexpr int depth_max = 200;          // of open folders at once; no program nests its files like that

  explicit DiskMeter(int folder) : folder_(folder) {}

  // Walks on for up to `entries` entries; returns the largest sum known: of the last complete walk or of this one so
  // far, whichever is more.
  DiskUse look(int entries = entries_per_look);
  // Walks anew, to the end or until `entries` entries are seen.
  DiskUse look_at_all(int entries);

 private:
  using Listing = std::unique_ptr<DIR, int (*)(DIR*)>;
  bool open(int parent, const char* name);
  void step();

  int folder_;
  std::vector<Listing> open_;
  DiskUse walking_;
  DiskUse complete_;
};

}  // namespace overnight::workers
