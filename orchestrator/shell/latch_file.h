// The latch on disk: a file of a fixed size, made when the home is made, so that a halt can be written down on a full
// disk too.
//
// HALT files beside it are requests: creating one halts, deleting it lifts nothing. An unreadable latch counts as
// closed.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "budgets/result.h"

namespace overnight::shell {

struct WrittenLatch {
  std::string run;  // empty: the whole home
  std::string by;
  std::string path;
  std::string reason;
};

class LatchFile {
 public:
  explicit LatchFile(std::filesystem::path file) : file_(std::move(file)) {}

  // Makes it, open, if it does not exist. Says why if it cannot.
  budgets::Result<void, std::string> prepare() const;
  // Writes and fsyncs; false if the disk refused (the caller kills all the same).
  bool close(const WrittenLatch& latch) const;
  budgets::Result<void, std::string> open_again() const;
  // What it says; an unreadable one is closed, by "latch file".
  std::optional<WrittenLatch> read() const;

 private:
  std::filesystem::path file_;
};

inline constexpr std::size_t latch_file_bytes = 4096;

}  // namespace overnight::shell
