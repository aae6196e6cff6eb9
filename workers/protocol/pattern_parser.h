// The syntax of patterns: text to tree. Only pattern.cc includes this.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "workers/protocol/pattern.h"

namespace overnight::workers {

struct PatternNode {
  enum class Kind { empty, bytes, sequence, either, repeat, group, line_begin, line_end, word_edge, no_word_edge };
  Kind kind = Kind::empty;
  Pattern::ByteSet set;               // of bytes
  std::vector<PatternNode> children;  // of sequence, either (all), repeat, group (one)
  int least = 0;
  int most = -1;  // of repeat; -1: no end
  bool greedy = true;
  int capture = 0;  // of group; 0: does not capture
};

// Throws std::runtime_error with a sentence; pattern.cc turns it into a refusal.
PatternNode parse_pattern(std::string_view text);

}  // namespace overnight::workers
