// One output stream of one phase, kept within a bound however much is printed: the first part goes to the file as it
// comes, the last part is held in a ring and appended at the end; what lies between is dropped and counted. Owns the
// file. A full disk loses log, never the attempt.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "workers/keeper/descriptor.h"

namespace overnight::workers {

inline constexpr std::int64_t log_ring_bytes_max = 256 * 1024;  // memory per stream; at most half of the bound

// The last bytes that were appended, at most `capacity`. Values.
class TailRing {
 public:
  explicit TailRing(std::size_t capacity) : capacity_(capacity) {}
  void append(std::string_view text);
  std::string text() const;
  std::int64_t pushed_out() const { return pushed_out_; }  // bytes that were in and are no more

 private:
  std::size_t capacity_;
  std::string bytes_;
  std::size_t oldest_ = 0;  // once full, where the oldest byte stands
  std::int64_t pushed_out_ = 0;
};

class LogFile {
 public:
  // `bound` 0: no bound. The file is made anew in `folder`.
  LogFile(int folder, const std::string& name, std::int64_t bound);
  void append(std::string_view text);
  void finish();  // writes the ring; then the file is complete
  std::int64_t dropped_bytes() const { return dropped_; }
  std::int64_t kept_bytes() const { return kept_; }  // written to the file
  std::string tail() const { return tail_.text(); }

 private:
  void write(std::string_view text);

  Descriptor file_;
  std::int64_t head_left_;  // -1: no bound
  std::int64_t dropped_ = 0;
  std::int64_t kept_ = 0;
  TailRing ring_;
  TailRing tail_;  // for the receipt
};

// Valid UTF-8 without control characters (but line feeds and tabs), at most `most` bytes, cut at the front, if possible
// at a line.
std::string readable_tail(std::string_view text, std::size_t most);

}  // namespace overnight::workers
