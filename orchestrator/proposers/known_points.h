// The points that a proposer must not offer again: what was run, what is pending, what it offers now.
//
// A value. What was run is remembered between asks and only what is new is taken in, so an ask costs the same however
// long the run is. It stays a fold over history: another history than the last one is taken in from its beginning.
#pragma once

#include <string>
#include <unordered_set>

#include "orchestrator/ports/proposer.h"

namespace overnight::proposers {

class KnownPoints {
 public:
  // For a new ask: learns what is new in its history and forgets what the last ask had pending and offered. False if
  // this history does not go on from the last one: then the proposer, too, forgets what it remembers.
  bool begin(const ports::AskRequest& request);

  // Canonical hashes.
  bool contains(const std::string& hash) const { return was_run(hash) || now_.contains(hash); }
  bool was_run(const std::string& hash) const { return run_.contains(hash); }
  // A point that is offered now; false if it was known.
  bool add(std::string hash) { return !was_run(hash) && now_.insert(std::move(hash)).second; }

 private:
  ports::History told_;  // what run_ was made of
  std::unordered_set<std::string> run_;
  std::unordered_set<std::string> now_;  // pending, and offered in this ask
};

}  // namespace overnight::proposers
