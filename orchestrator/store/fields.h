// The values of one table row, as they are bound, read and hashed. Values.
//
// Hashing is framed, so that no two different rows give the same bytes: each field is its type (n, i, d, t), the length
// of its text, a colon, and its text ("i2:17", "t5:hello", "n0:"). Numbers are written in decimal, doubles in the
// shortest form that reads back the same. README.md shows how to recompute the journal's chain with it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "orchestrator/core/digest.h"

namespace overnight::store {

// A string_view saves the copy of a long text; what it points to outlives the statement's run.
using Value = std::variant<std::monostate, std::int64_t, double, std::string, std::string_view>;
using Fields = std::vector<Value>;

// SHA-256 of `domain` (ends in a newline) and the framed fields.
core::Digest digest_of(std::string_view domain, const Fields& fields);

// A hash over a set of rows that is cheap to keep up to date: the sum (mod 2^256) of their digests.
class SetHash {
 public:
  void add(const core::Digest& digest);
  void remove(const core::Digest& digest);
  std::string hex() const { return core::hex(sum_); }
  // From the text that `hex` gave; false if it is none.
  bool read(std::string_view hex);
  const core::Digest& digest() const { return sum_; }
  bool operator==(const SetHash&) const = default;

 private:
  core::Digest sum_{};  // little end first
};

}  // namespace overnight::store
