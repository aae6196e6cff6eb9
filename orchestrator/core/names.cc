// The spelling of every name of the core, in one place: what journal, store, CLI and reports show.
#include <array>
#include <utility>

#include "orchestrator/core/codec.h"

namespace overnight::core {
namespace {

template <typename E, std::size_t N>
using Names = std::array<std::pair<E, std::string_view>, N>;

template <typename E, std::size_t N>
std::string_view name_in(const Names<E, N>& names, E value) {
  for (const auto& [known, name] : names) {
    if (known == value) return name;
  }
  return "?";
}

template <typename E, std::size_t N>
std::optional<E> named_in(const Names<E, N>& names, std::string_view wanted) {
  for (const auto& [known, name] : names) {
    if (name == wanted) return known;
  }
  return std::nullopt;
}

constexpr Names<Direction, 2> directions{{{Direction::minimize, "minimize"}, {Direction::maximize, "maximize"}}};
constexpr Names<Scale, 2> scales{{{Scale::linear, "linear"}, {Scale::log, "log"}}};
constexpr Names<SeedDelivery::Kind, 4> seed_deliveries{{{SeedDelivery::Kind::none, "none"},
                                                        {SeedDelivery::Kind::env, "env"},
                                                        {SeedDelivery::Kind::argv, "argv"},
                                                        {SeedDelivery::Kind::replace, "replace"}}};
constexpr Names<Purpose, 5> purposes{{{Purpose::canary, "canary"},
                                      {Purpose::baseline, "baseline"},
                                      {Purpose::enqueued, "enqueued"},
                                      {Purpose::confirm, "confirm"},
                                      {Purpose::search, "search"}}};
constexpr Names<Stage, 4> stages{{{Stage::baseline, "baseline"},
                                  {Stage::searching, "searching"},
                                  {Stage::confirming, "confirming"},
                                  {Stage::ended, "ended"}}};
constexpr Names<EndKind, 6> end_kinds{{{EndKind::done, "done"},
                                       {EndKind::failed, "failed"},
                                       {EndKind::halted, "halted"},
                                       {EndKind::tripped, "tripped"},
                                       {EndKind::stopped, "stopped"},
                                       {EndKind::abandoned, "abandoned"}}};
constexpr Names<RunPart, 4> run_parts{
    {{RunPart::status, "status"}, {RunPart::ledger, "ledger"}, {RunPart::work, "work"}, {RunPart::leaders, "leaders"}}};

struct EventName {
  std::string_view operator()(const HomeOpened&) const { return "home_opened"; }
  std::string_view operator()(const TimePassed&) const { return "time_passed"; }
  std::string_view operator()(const RunStarted&) const { return "run_started"; }
  std::string_view operator()(const RunResumed&) const { return "run_resumed"; }
  std::string_view operator()(const HaltRequested&) const { return "halt_requested"; }
  std::string_view operator()(const HoldRequested&) const { return "hold_requested"; }
  std::string_view operator()(const ReleaseRequested&) const { return "release_requested"; }
  std::string_view operator()(const DrainRequested&) const { return "drain_requested"; }
  std::string_view operator()(const StopRequested&) const { return "stop_requested"; }
  std::string_view operator()(const BudgetChanged&) const { return "budget_changed"; }
  std::string_view operator()(const OffersArrived&) const { return "offers_arrived"; }
  std::string_view operator()(const Enqueued&) const { return "enqueued"; }
  std::string_view operator()(const AttemptStarted&) const { return "attempt_started"; }
  std::string_view operator()(const AttemptInPhase&) const { return "attempt_in_phase"; }
  std::string_view operator()(const AttemptGone&) const { return "attempt_gone"; }
  std::string_view operator()(const Observed&) const { return "observed"; }
  std::string_view operator()(const SlotChecked&) const { return "slot_checked"; }
  std::string_view operator()(const ArtifactsDropped&) const { return "artifacts_dropped"; }
};

struct ActionName {
  std::string_view operator()(const Launch&) const { return "launch"; }
  std::string_view operator()(const StopAttempt&) const { return "stop_attempt"; }
  std::string_view operator()(const Ask&) const { return "ask"; }
  std::string_view operator()(const DropArtifacts&) const { return "drop_artifacts"; }
  std::string_view operator()(const PublishReport&) const { return "publish_report"; }
};

}  // namespace

std::string_view name_of(Direction value) { return name_in(directions, value); }
std::optional<Direction> direction_named(std::string_view name) { return named_in(directions, name); }
std::string_view name_of(Scale value) { return name_in(scales, value); }
std::optional<Scale> scale_named(std::string_view name) { return named_in(scales, name); }
std::string_view name_of(SeedDelivery::Kind value) { return name_in(seed_deliveries, value); }
std::optional<SeedDelivery::Kind> seed_delivery_named(std::string_view name) { return named_in(seed_deliveries, name); }
std::string_view name_of(Purpose value) { return name_in(purposes, value); }
std::optional<Purpose> purpose_named(std::string_view name) { return named_in(purposes, name); }
std::string_view name_of(Stage value) { return name_in(stages, value); }
std::optional<Stage> stage_named(std::string_view name) { return named_in(stages, name); }
std::string_view name_of(EndKind value) { return name_in(end_kinds, value); }
std::optional<EndKind> end_kind_named(std::string_view name) { return named_in(end_kinds, name); }
std::string_view name_of(RunPart value) { return name_in(run_parts, value); }
std::string_view name_of(const Event& event) { return std::visit(EventName{}, event); }
std::string_view name_of(const Action& action) { return std::visit(ActionName{}, action); }

}  // namespace overnight::core
