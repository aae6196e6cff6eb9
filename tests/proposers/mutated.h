// Text as a broken or hostile author could have written it, for fuzzing.
#pragma once

#include <rapidcheck/gtest.h>

#include <string>

namespace overnight::proposers {

// The text changed at a few places: bytes changed, parts cut out, doubled, or swapped in from elsewhere.
inline std::string mutated(std::string text) {
  const int edits = *rc::gen::inRange(1, 5);
  for (int i = 0; i < edits && !text.empty(); ++i) {
    const auto at = static_cast<std::size_t>(*rc::gen::inRange<int>(0, static_cast<int>(text.size())));
    const auto length = static_cast<std::size_t>(*rc::gen::inRange(0, 20));
    switch (*rc::gen::inRange(0, 5)) {
      case 0:
        text[at] = static_cast<char>(*rc::gen::inRange(0, 256));
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.insert(at, text.substr(at, length));
        break;
      case 3:
        text.insert(at, *rc::gen::element<std::string>("{", "}", "[", "]", "\"", ",", ":", "null", "NaN", "1e999", "-",
                                                       "```", "<think>", "\\u0000", "\\ud800", "99999999999999999999"));
        break;
      default:
        text.resize(at);
    }
  }
  return text;
}

}  // namespace overnight::proposers
