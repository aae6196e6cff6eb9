// The regular expressions that an order carries (metrics over stdout, seed replacements), for both sides: the study is
// checked with the same code that later matches. Values.
//
// Matching walks the text once with all alternatives side by side (Pike's machine): time is at most text times pattern,
// so no pattern and no hostile line can hang the keeper; memory does not grow with the text. Leftmost match,
// alternatives in the order of Perl and Python. `^` and `$` match at line starts and ends. Bytes, not code points.
// Knows: . [] \d \s \w \b and their opposites, groups, (?:), (?P<name>), |, * + ? {m,n} and their lazy forms. Refuses
// back references, look-around and flags, with a sentence.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "budgets/result.h"
#include "workers/protocol/order.h"

namespace overnight::workers {

inline constexpr std::size_t pattern_bytes_max = 1024;
inline constexpr std::size_t pattern_steps_max = 2000;  // after {m,n} is unrolled: 4 KiB lines stay below 10 ms each

struct PatternMatch {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t group_begin = 0;  // of the first group; the whole match if the pattern has none
  std::size_t group_end = 0;
  bool operator==(const PatternMatch&) const = default;
};

class Pattern {
 public:
  using ByteSet = std::bitset<256>;
  struct Step {
    enum class Kind { bytes, split, jump, save, line_begin, line_end, word_edge, no_word_edge, match };
    Kind kind = Kind::match;
    std::uint32_t first = 0;   // next step; of a split, the preferred one; of a save, the slot; of bytes, the set
    std::uint32_t second = 0;  // of a split, the other one
  };

  static budgets::Result<Pattern, ProtocolError> compile(std::string_view text);
  std::optional<PatternMatch> search(std::string_view text, std::size_t from = 0) const;

 private:
  Pattern(std::vector<Step> steps, std::vector<ByteSet> sets);
  std::vector<Step> steps_;
  std::vector<ByteSet> sets_;
  std::string prefix_;  // what every match begins with; lines without it, nearly all of them, cost next to nothing
};

}  // namespace overnight::workers
