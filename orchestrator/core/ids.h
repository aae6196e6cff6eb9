// Ids as types of their own. Numbers are dense within a home and never used twice; a run's id is unique in the world.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

namespace overnight::core {

enum class ExperimentId : std::int64_t {};
enum class TrialId : std::int64_t {};
enum class AttemptId : std::int64_t {};
enum class AskId : std::int64_t {};
enum class SlotId : std::int64_t {};
enum class Epoch : std::int64_t {};     // the number of the orchestrator's life
enum class InputSeq : std::int64_t {};  // position in the journal, from 1, without gaps
enum class ActionId : std::int64_t {};  // position among all actions, from 1

struct RunId {
  std::string text;  // "2026-11-24-tiny-lm-7f3a2c": letters, digits, '-', '.', '_'; at most 80
  friend auto operator<=>(const RunId&, const RunId&) = default;
};

template <typename Id>
constexpr std::int64_t number(Id id) {
  return static_cast<std::int64_t>(id);
}

}  // namespace overnight::core
