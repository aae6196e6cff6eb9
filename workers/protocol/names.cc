#include "workers/protocol/names.h"

#include <array>
#include <utility>

namespace overnight::workers {
namespace {

template <typename Enum, std::size_t N>
using Names = std::array<std::pair<Enum, std::string_view>, N>;

constexpr Names<Phase, 3> phases{{{Phase::build, "build"}, {Phase::train, "train"}, {Phase::evaluate, "evaluate"}}};
constexpr Names<Cause, 12> causes{{{Cause::completed, "completed"},
                                   {Cause::crash, "crash"},
                                   {Cause::timeout, "timeout"},
                                   {Cause::out_of_memory, "out_of_memory"},
                                   {Cause::out_of_disk, "out_of_disk"},
                                   {Cause::process_limit, "process_limit"},
                                   {Cause::no_metric, "no_metric"},
                                   {Cause::bad_metric, "bad_metric"},
                                   {Cause::stopped, "stopped"},
                                   {Cause::lease_lost, "lease_lost"},
                                   {Cause::launch_failed, "launch_failed"},
                                   {Cause::infrastructure, "infrastructure"}}};
constexpr Names<StopLevel, 2> stop_levels{{{StopLevel::drain, "drain"}, {StopLevel::kill, "kill"}}};
constexpr Names<Split, 2> splits{{{Split::validation, "validation"}, {Split::holdout, "holdout"}}};

template <typename Enum, std::size_t N>
std::string_view name_in(const Names<Enum, N>& names, Enum wanted) {
  for (const auto& [value, name] : names) {
    if (value == wanted) return name;
  }
  return "unknown";
}

template <typename Enum, std::size_t N>
std::optional<Enum> named_in(const Names<Enum, N>& names, std::string_view wanted) {
  for (const auto& [value, name] : names) {
    if (name == wanted) return value;
  }
  return std::nullopt;
}

}  // namespace

std::string_view name_of(Phase phase) { return name_in(phases, phase); }
std::string_view name_of(Cause cause) { return name_in(causes, cause); }
std::string_view name_of(StopLevel level) { return name_in(stop_levels, level); }
std::string_view name_of(Split split) { return name_in(splits, split); }

std::optional<Phase> phase_named(std::string_view name) { return named_in(phases, name); }
std::optional<Cause> cause_named(std::string_view name) { return named_in(causes, name); }
std::optional<StopLevel> stop_level_named(std::string_view name) { return named_in(stop_levels, name); }
std::optional<Split> split_named(std::string_view name) { return named_in(splits, name); }

}  // namespace overnight::workers
