#include "workers/protocol/pattern.h"

#include <array>
#include <stdexcept>
#include <utility>

#include "workers/protocol/pattern_parser.h"

namespace overnight::workers {
namespace {

using Step = Pattern::Step;
using Kind = Pattern::Step::Kind;

constexpr std::size_t unset = static_cast<std::size_t>(-1);
using Saves = std::array<std::size_t, 4>;  // begin and end of the match and of group 1

// Tree to program. Each emit_ appends steps that fall through to what is appended next.
class Compiler {
  static constexpr const char* too_large = "it is too large once its repetitions are unrolled";
  static constexpr int visits_max = 20000;

 public:
  std::vector<Step> steps;
  std::vector<Pattern::ByteSet> sets;

  void emit(const PatternNode& node) {
    if (++visits_ > visits_max) throw std::runtime_error(too_large);  // nested repetitions of nothing add no step
    switch (node.kind) {
      case PatternNode::Kind::empty:
        return;
      case PatternNode::Kind::bytes:
        sets.push_back(node.set);
        add(Kind::bytes, sets.size() - 1);
        return;
      case PatternNode::Kind::sequence:
        for (const auto& child : node.children) emit(child);
        return;
      case PatternNode::Kind::either:
        return emit_either(node);
      case PatternNode::Kind::repeat:
        return emit_repeat(node);
      case PatternNode::Kind::group:
        if (node.capture == 1) add(Kind::save, 2);
        emit(node.children.front());
        if (node.capture == 1) add(Kind::save, 3);
        return;
      case PatternNode::Kind::line_begin:
        add(Kind::line_begin);
        return;
      case PatternNode::Kind::line_end:
        add(Kind::line_end);
        return;
      case PatternNode::Kind::word_edge:
        add(Kind::word_edge);
        return;
      case PatternNode::Kind::no_word_edge:
        add(Kind::no_word_edge);
        return;
    }
  }

  std::size_t add(Kind kind, std::size_t first = 0, std::size_t second = 0) {
    if (steps.size() >= pattern_steps_max) throw std::runtime_error(too_large);
    steps.push_back({kind, static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(second)});
    return steps.size() - 1;
  }

 private:
  void emit_either(const PatternNode& node) {
    std::vector<std::size_t> ends;
    for (std::size_t i = 0; i + 1 < node.children.size(); ++i) {
      const std::size_t split = add(Kind::split);
      steps[split].first = static_cast<std::uint32_t>(steps.size());
      emit(node.children[i]);
      ends.push_back(add(Kind::jump));
      steps[split].second = static_cast<std::uint32_t>(steps.size());
    }
    emit(node.children.back());
    for (const std::size_t end : ends) steps[end].first = static_cast<std::uint32_t>(steps.size());
  }

  void emit_repeat(const PatternNode& node) {
    const PatternNode& what = node.children.front();
    for (int i = 0; i < node.least; ++i) emit(what);
    if (node.most < 0) {
      const std::size_t split = add(Kind::split);
      emit(what);
      add(Kind::jump, split);
      choose(split, split + 1, steps.size(), node.greedy);
      return;
    }
    std::vector<std::size_t> splits;
    for (int i = node.least; i < node.most; ++i) {
      splits.push_back(add(Kind::split));
      emit(what);
    }
    for (const std::size_t split : splits) choose(split, split + 1, steps.size(), node.greedy);
  }

  void choose(std::size_t split, std::size_t inner, std::size_t outer, bool greedy) {
    steps[split].first = static_cast<std::uint32_t>(greedy ? inner : outer);
    steps[split].second = static_cast<std::uint32_t>(greedy ? outer : inner);
  }

  int visits_ = 0;
};

bool is_word(std::string_view text, std::size_t at) {
  if (at >= text.size()) return false;
  const auto c = static_cast<unsigned char>(text[at]);
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

// One run over one text: the alternatives that are alive, in order of preference.
class Machine {
 public:
  Machine(const std::vector<Step>& steps, const std::vector<Pattern::ByteSet>& sets, std::string_view text)
      : steps_(steps), sets_(sets), text_(text), mark_(steps.size(), 0) {}

  std::optional<Saves> run(std::size_t from) {
    std::optional<Saves> found;
    for (std::size_t at = from; at <= text_.size(); ++at) {
      ++round_;
      for (const Thread& thread : now_) follow(thread.step, at, thread.saves);
      if (!found) follow(0, at, Saves{at, unset, unset, unset});
      advance(at, found);
      if (now_.empty() && found) break;
    }
    return found;
  }

 private:
  struct Thread {
    std::uint32_t step = 0;
    Saves saves{};
  };

  // Keeps of the reached threads those that accept the byte at `at`; a match cuts off what is less preferred.
  void advance(std::size_t at, std::optional<Saves>& found) {
    now_.clear();
    for (Thread& thread : reached_) {
      const Step& step = steps_[thread.step];
      if (step.kind == Kind::match) {
        found = thread.saves;
        (*found)[1] = at;
        break;
      }
      if (at < text_.size() && sets_[step.first].test(static_cast<unsigned char>(text_[at]))) {
        now_.push_back({thread.step + 1, thread.saves});
      }
    }
    reached_.clear();
  }

  // Adds to `reached_` every byte step and match that can be reached from `start` without reading. An explicit stack:
  // the depth depends on the pattern.
  void follow(std::uint32_t start, std::size_t at, const Saves& saves) {
    stack_.clear();
    stack_.push_back({start, saves});
    while (!stack_.empty()) {
      Thread thread = stack_.back();
      stack_.pop_back();
      if (mark_[thread.step] == round_) continue;
      mark_[thread.step] = round_;
      const Step& step = steps_[thread.step];
      switch (step.kind) {
        case Kind::bytes:
        case Kind::match:
          reached_.push_back(thread);
          break;
        case Kind::jump:
          stack_.push_back({step.first, thread.saves});
          break;
        case Kind::split:
          stack_.push_back({step.second, thread.saves});
          stack_.push_back({step.first, thread.saves});
          break;
        case Kind::save: {
          thread.saves[step.first] = at;
          stack_.push_back({thread.step + 1, thread.saves});
          break;
        }
        case Kind::line_begin:
        case Kind::line_end:
        case Kind::word_edge:
        case Kind::no_word_edge:
          if (holds(step.kind, at)) stack_.push_back({thread.step + 1, thread.saves});
          break;
      }
    }
  }

  bool holds(Kind kind, std::size_t at) const {
    if (kind == Kind::line_begin) return at == 0 || text_[at - 1] == '\n';
    if (kind == Kind::line_end) return at == text_.size() || text_[at] == '\n';
    const bool edge = is_word(text_, at) != (at > 0 && is_word(text_, at - 1));
    return edge == (kind == Kind::word_edge);
  }

  const std::vector<Step>& steps_;
  const std::vector<Pattern::ByteSet>& sets_;
  std::string_view text_;
  std::vector<std::uint64_t> mark_;  // the round in which a step was reached: each at most once a round
  std::uint64_t round_ = 0;
  std::vector<Thread> now_, reached_, stack_;
};

}  // namespace

// The bytes that can only be these, from the first step on.
Pattern::Pattern(std::vector<Step> steps, std::vector<ByteSet> sets)
    : steps_(std::move(steps)), sets_(std::move(sets)) {
  for (const Step& step : steps_) {
    if (step.kind == Kind::save || step.kind == Kind::line_begin || step.kind == Kind::word_edge) continue;
    if (step.kind != Kind::bytes || sets_[step.first].count() != 1) return;
    int byte = 0;
    while (!sets_[step.first].test(static_cast<std::size_t>(byte))) ++byte;
    prefix_.push_back(static_cast<char>(byte));
  }
}

budgets::Result<Pattern, ProtocolError> Pattern::compile(std::string_view text) {
  if (text.empty() || text.size() > pattern_bytes_max) {
    return budgets::unexpected(ProtocolError{"a pattern must have 1 to 1024 bytes"});
  }
  try {
    Compiler compiler;
    compiler.emit(parse_pattern(text));
    compiler.add(Kind::match);
    return Pattern(std::move(compiler.steps), std::move(compiler.sets));
  } catch (const std::runtime_error& error) {
    return budgets::unexpected(ProtocolError{"in the pattern \"" + std::string(text) + "\" " + error.what()});
  }
}

std::optional<PatternMatch> Pattern::search(std::string_view text, std::size_t from) const {
  const std::size_t first = prefix_.empty() ? from : text.find(prefix_, from);
  if (first == std::string_view::npos) return std::nullopt;
  const auto saves = Machine(steps_, sets_, text).run(first);
  if (!saves) return std::nullopt;
  const auto [begin, end, group_begin, group_end] = *saves;
  if (group_begin == unset || group_end == unset) return PatternMatch{begin, end, begin, end};
  return PatternMatch{begin, end, group_begin, group_end};
}

}  // namespace overnight::workers
