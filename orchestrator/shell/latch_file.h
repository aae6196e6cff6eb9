// The latch on disk: a file of a fixed size, made before anything can run, so that a halt can be written down on a full
// disk too. One for the home (HOME/latch), one for each run (HOME/runs/RUN/latch): none can hide another.
//
// The journal has the latch as well, as soon as an orchestrator lives that can write it; the file is what `halt
// --offline` can write without one. A file that is missing where it must be, or that says anything but what was written
// here, counts as closed. HALT files beside it are requests: creating one halts, deleting it lifts nothing.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "budgets/result.h"

namespace overnight::shell {

struct WrittenLatch {
  std::string by;
  std::string path;  // by which path the halt came: "api", "file", "signal", "offline"
  std::string reason;
  bool operator==(const WrittenLatch&) const = default;
};

class LatchFile {
 public:
  explicit LatchFile(std::filesystem::path file) : file_(std::move(file)) {}

  bool exists() const;
  // Makes it, open and durable, if it does not exist. Says why if it cannot.
  budgets::Result<void, std::string> prepare() const;
  // Writes over what is there and fsyncs; false if the disk refused (the caller kills all the same).
  bool close(const WrittenLatch& latch) const;
  budgets::Result<void, std::string> open_again() const;
  // What it says; none: open. A missing or unreadable one is closed, by "latch file".
  std::optional<WrittenLatch> read() const;

 private:
  std::filesystem::path file_;
};

inline constexpr std::size_t latch_file_bytes = 4096;  // one block: written whole or not at all on usual disks

}  // namespace overnight::shell
