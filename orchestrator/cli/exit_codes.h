// What the program's exit status means. Documented in README.md and in `overnight --help`.
#pragma once

namespace overnight::cli {

enum ExitCode : int {
  exit_done = 0,
  exit_failed = 1,
  exit_bad_input = 2,
  exit_halted = 3,       // halted, tripped, or stopped by a person: unfinished
  exit_unconfirmed = 4,  // a halt that is not confirmed: survivors are listed
  exit_not_found = 5,
  exit_tampered = 10,  // audit verify
  exit_truncated = 11,
  exit_unreadable = 12,
};

}  // namespace overnight::cli
