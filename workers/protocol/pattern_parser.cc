#include "workers/protocol/pattern_parser.h"

#include <stdexcept>

namespace overnight::workers {
namespace {

using Kind = PatternNode::Kind;
using ByteSet = Pattern::ByteSet;

constexpr int nesting_max = 32;      // of groups: the parser recurses
constexpr int repetition_max = 256;  // in {m,n}: the program is unrolled

[[noreturn]] void refuse(const std::string& why) { throw std::runtime_error(why); }

ByteSet range(unsigned char low, unsigned char high) {
  ByteSet set;
  for (unsigned byte = low; byte <= high; ++byte) set.set(byte);
  return set;
}

ByteSet one(char c) { return range(static_cast<unsigned char>(c), static_cast<unsigned char>(c)); }

// \d \s \w and their opposites; nothing for other letters.
std::optional<ByteSet> class_of(char letter) {
  const ByteSet digits = range('0', '9');
  const ByteSet words = digits | range('a', 'z') | range('A', 'Z') | one('_');
  const ByteSet spaces = one(' ') | range('\t', '\r');
  switch (letter) {
    case 'd':
      return digits;
    case 'D':
      return ~digits;
    case 'w':
      return words;
    case 'W':
      return ~words;
    case 's':
      return spaces;
    case 'S':
      return ~spaces;
    default:
      return std::nullopt;
  }
}

PatternNode of(Kind kind) {
  PatternNode node;
  node.kind = kind;
  return node;
}

PatternNode bytes(const ByteSet& set) {
  PatternNode node = of(Kind::bytes);
  node.set = set;
  return node;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  PatternNode parse() {
    PatternNode node = either(0);
    if (!rest_.empty()) refuse("there is a ')' without its '('");
    return node;
  }

 private:
  char take() {
    if (rest_.empty()) refuse("it ends in the middle");
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }
  bool take_if(std::string_view prefix) {
    if (!rest_.starts_with(prefix)) return false;
    rest_.remove_prefix(prefix.size());
    return true;
  }

  PatternNode either(int depth) {
    if (depth > nesting_max) refuse("groups are nested deeper than 32");
    PatternNode node = of(Kind::either);
    do {
      node.children.push_back(sequence(depth));
    } while (take_if("|"));
    return node.children.size() == 1 ? std::move(node.children.front()) : node;
  }

  PatternNode sequence(int depth) {
    PatternNode node = of(Kind::sequence);
    while (!rest_.empty() && rest_.front() != '|' && rest_.front() != ')') {
      node.children.push_back(repeated(atom(depth)));
    }
    return node;
  }

  PatternNode repeated(PatternNode what) {
    int least = 0;
    int most = -1;
    if (take_if("*")) {
    } else if (take_if("+")) {
      least = 1;
    } else if (take_if("?")) {
      most = 1;
    } else if (!counts(least, most)) {
      return what;
    }
    PatternNode node = of(Kind::repeat);
    node.least = least;
    node.most = most;
    node.greedy = !take_if("?");
    if (!rest_.empty() && (rest_.front() == '*' || rest_.front() == '+' || rest_.front() == '?')) {
      refuse("there is nothing to repeat before '*', '+' or '?'");
    }
    node.children.push_back(std::move(what));
    return node;
  }

  // {m}, {m,} or {m,n}; anything else after '{' is a plain '{', as in Python.
  bool counts(int& least, int& most) {
    if (!rest_.starts_with('{')) return false;
    const std::string_view before = rest_;
    rest_.remove_prefix(1);
    const auto low = number();
    least = low.value_or(0);
    most = least;
    if (take_if(",")) most = number().value_or(-1);
    if (!low || !take_if("}")) {
      rest_ = before;
      return false;
    }
    if (most >= 0 && most < least) refuse("in {m,n} the second number is less than the first");
    return true;
  }

  std::optional<int> number() {
    int value = 0;
    bool any = false;
    while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9') {
      value = value * 10 + (take() - '0');
      any = true;
      if (value > repetition_max) refuse("in {m,n} a number is greater than 256");
    }
    return any ? std::optional(value) : std::nullopt;
  }

  PatternNode atom(int depth) {
    const char c = take();
    switch (c) {
      case '(':
        return group(depth);
      case '[':
        return bytes(bracket());
      case '.':
        return bytes(~one('\n'));
      case '^':
        return of(Kind::line_begin);
      case '$':
        return of(Kind::line_end);
      case '\\':
        return escape();
      case '*':
      case '+':
      case '?':
        refuse("there is nothing to repeat before '*', '+' or '?'");
      default:
        return bytes(one(c));
    }
  }

  PatternNode group(int depth) {
    PatternNode node = of(Kind::group);
    if (take_if("?:")) {
    } else if (take_if("?P<") || (rest_.starts_with("?<") && !rest_.starts_with("?<=") && !rest_.starts_with("?<!"))) {
      take_if("?<");
      while (take() != '>') {
      }
      node.capture = ++groups_;
    } else if (rest_.starts_with("?")) {
      refuse("look-around and flags (\"(?...)\") are not supported");
    } else {
      node.capture = ++groups_;
    }
    node.children.push_back(either(depth + 1));
    if (!take_if(")")) refuse("a '(' is not closed");
    return node;
  }

  PatternNode escape() {
    const char c = take();
    if (const auto set = class_of(c)) return bytes(*set);
    if (c == 'b') return of(Kind::word_edge);
    if (c == 'B') return of(Kind::no_word_edge);
    return bytes(one(literal(c)));
  }

  static char literal(char c) {
    if (c == 'n') return '\n';
    if (c == 't') return '\t';
    if (c == 'r') return '\r';
    if (c >= '0' && c <= '9') refuse("back references are not supported");
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) refuse(std::string("the escape \\") + c + " is not known");
    return c;
  }

  ByteSet bracket() {
    const bool negate = take_if("^");
    ByteSet set;
    for (bool first = true; first || !rest_.starts_with(']'); first = false) {
      const char c = take();
      if (c == '[' && rest_.starts_with(':')) refuse("classes such as [:alpha:] are not supported");
      if (c == '\\') {
        const char escaped = take();
        if (const auto named = class_of(escaped)) {
          set |= *named;
          continue;
        }
        set |= through(literal(escaped));
      } else {
        set |= through(c);
      }
    }
    take();
    return negate ? ~set : set;
  }

  // `low`, or the range from `low` if "-x" follows.
  ByteSet through(char low) {
    if (rest_.size() < 2 || rest_[0] != '-' || rest_[1] == ']') return one(low);
    take();
    char high = take();
    if (high == '\\') high = literal(take());
    if (static_cast<unsigned char>(high) < static_cast<unsigned char>(low)) refuse("a range in [] runs backwards");
    return range(static_cast<unsigned char>(low), static_cast<unsigned char>(high));
  }

  std::string_view rest_;
  int groups_ = 0;
};

}  // namespace

PatternNode parse_pattern(std::string_view text) { return Parser(text).parse(); }

}  // namespace overnight::workers
