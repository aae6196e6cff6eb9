// The process above an outside program: what it does between fork and exit. Only async-signal-safe calls: it is forked
// from a program with many threads.
#pragma once

namespace overnight::proposers {

// Descriptors and texts that the warden needs; made before the fork.
struct WardenOrder {
  int control = -1;  // readable (or closed) when everything must end
  int errors = -1;   // the program's stderr, to be copied
  int log = -1;      // where it goes; -1: nowhere
  long log_left = 0;
  int in = -1, out = -1, err = -1;  // the program's own ends
  const char* folder = "/";
  const char* path = nullptr;  // absolute
  char* const* argv = nullptr;
  char* const* env = nullptr;
};

// Starts the program, copies its stderr, and when it ends or `control` says so kills all that is left of it. Exits with
// the program's status (128 + signal; 127: it could not be started).
[[noreturn]] void be_warden(const WardenOrder& order);

}  // namespace overnight::proposers
