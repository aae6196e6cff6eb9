#include "tests/fakes/fake_executor.h"

#include <algorithm>

namespace overnight::fakes {

using core::Cause;

void FakeExecutor::listen(ports::Sink sink) {
  sink_ = std::move(sink);
  messages_.clear();
}

void FakeExecutor::orchestrator_died() {
  sink_ = nullptr;
  messages_.clear();
  for (auto& [id, process] : processes_) {
    if (!process.alive) continue;
    const std::int64_t wait = chance(random_, faults.orphan) ? up_to(random_, faults.orphan_ms) : up_to(random_, 50);
    if (clock_.elapsed_ms() + wait >= process.ends_ms) continue;
    process.receipt.cause = Cause::lease_lost;
    process.receipt.score.reset();
    process.ends_ms = clock_.elapsed_ms() + wait;
    ends_.emplace(process.ends_ms, id);
  }
}

void FakeExecutor::machine_died() {
  orchestrator_died();
  for (auto& [_, process] : processes_) {
    if (!process.alive) continue;
    process.receipt.cause = Cause::lease_lost;
    process.leaves_receipt = false;
    end(process, clock_.elapsed_ms());
  }
}

std::vector<core::SlotFound> FakeExecutor::capacity(const core::Study&) {
  std::vector<core::SlotFound> found;
  for (std::int64_t i = 1; i <= slots; ++i) found.push_back({core::SlotId{i}, "cpu", {static_cast<int>(i - 1)}, {}});
  return found;
}

Cause FakeExecutor::fate() {
  if (!chance(random_, faults.fail)) return Cause::completed;
  constexpr Cause bad[] = {Cause::crash,      Cause::timeout,   Cause::out_of_memory, Cause::no_metric,
                           Cause::bad_metric, Cause::crash,     Cause::launch_failed, Cause::infrastructure,
                           Cause::crash,      Cause::lease_lost};
  return bad[random_() % std::size(bad)];
}

void FakeExecutor::launch(const core::Launch& launch, const core::Study& study) {
  if (before_action) before_action();
  if (processes_.contains(launch.attempt)) return;
  if (before_launch) before_launch(launch);
  Process process;
  process.launch = launch;
  process.gpus = study.task.gpus;
  process.started_ms = clock_.elapsed_ms() + up_to(random_, 20);
  process.receipt.attempt = launch.attempt;
  process.receipt.cause = fate();
  process.receipt.detail = std::string(workers::name_of(process.receipt.cause));
  process.receipt.disturbed = chance(random_, faults.disturbed);
  process.leaves_receipt = !chance(random_, faults.vanish);
  const std::int64_t wall = launch.wall.count();
  const std::int64_t takes =
      process.receipt.cause == Cause::timeout ? wall : std::min(wall, 1 + up_to(random_, longest_ms));
  process.ends_ms = process.started_ms + takes;
  if (process.receipt.cause == Cause::completed && score) process.receipt.score = score(launch);
  if (process.receipt.cause == Cause::completed && !process.receipt.score) process.receipt.score = 1.0;
  process.receipt.artifacts = budgets::Bytes::of(up_to(random_, study.attempt.disk.count() / 2));
  ends_.emplace(process.ends_ms, launch.attempt);
  processes_.emplace(launch.attempt, process);
  if (chance(random_, faults.lose)) return;
  messages_.emplace(process.started_ms + up_to(random_, faults.late_ms), core::AttemptStarted{launch.attempt});
}

void FakeExecutor::stop(core::AttemptId attempt, core::StopLevel level, const std::string&) {
  if (before_action) before_action();
  const auto found = processes_.find(attempt);
  if (found == processes_.end() || !found->second.alive || chance(random_, faults.deaf)) return;
  Process& process = found->second;
  const std::int64_t now = clock_.elapsed_ms();
  if (process.deaf_until_ms == 0 && chance(random_, faults.stubborn))
    process.deaf_until_ms = now + up_to(random_, faults.stubborn_ms);
  const std::int64_t dies =
      std::max(now + up_to(random_, level == core::StopLevel::kill ? 30 : 500), process.deaf_until_ms);
  const bool overdue = now > process.ends_ms;
  if (dies >= process.ends_ms && !overdue && process.deaf_until_ms <= process.ends_ms) return;
  process.receipt.cause = Cause::stopped;
  process.receipt.score.reset();
  process.ends_ms = dies;
  ends_.emplace(dies, attempt);
}

void FakeExecutor::drop_artifacts(core::AttemptId attempt, const core::RunId& run) {
  if (before_action) before_action();
  messages_.emplace(clock_.elapsed_ms() + up_to(random_, faults.late_ms), core::ArtifactsDropped{attempt, run, {}});
}

void FakeExecutor::tell(core::Event event, bool may_be_lost) {
  const std::int64_t now = clock_.elapsed_ms();
  if (chance(random_, faults.duplicate)) messages_.emplace(now + up_to(random_, faults.late_ms * 3), event);
  if (may_be_lost && chance(random_, faults.lose)) return;
  messages_.emplace(now + up_to(random_, faults.late_ms), std::move(event));
}

void FakeExecutor::observe(const std::vector<core::AttemptId>& expected) {
  core::Observed observed{clock_.now(), {}};
  for (const core::AttemptId attempt : expected) {
    const auto found = processes_.find(attempt);
    if (found == processes_.end()) {
      core::AttemptGone never{attempt};
      never.cause = Cause::lease_lost;
      never.detail = "it was decided, but never launched";
      never.took = core::Millis{};
      tell(never, false);
    } else if (!found->second.alive && found->second.leaves_receipt) {
      tell(found->second.receipt, false);
    }
  }
  for (const auto& [id, process] : processes_) {
    if (process.alive) observed.live.push_back(id);
  }
  // Behind the receipts that were found, as a real executor tells them.
  messages_.emplace(clock_.elapsed_ms() + faults.late_ms * 3 + 1, std::move(observed));
}

void FakeExecutor::end(Process& process, std::int64_t at_ms) {
  process.alive = false;
  process.receipt.took = core::Millis::of(std::max<std::int64_t>(0, at_ms - process.started_ms));
  if (sink_ && process.leaves_receipt) tell(process.receipt, true);
}

std::optional<std::int64_t> FakeExecutor::next_ms() const {
  std::optional<std::int64_t> next;
  if (sink_ && !messages_.empty()) next = messages_.begin()->first;
  if (!ends_.empty()) next = std::min(next.value_or(INT64_MAX), ends_.begin()->first);
  return next;
}

bool FakeExecutor::deliver() {
  const std::int64_t now = clock_.elapsed_ms();
  while (!ends_.empty() && ends_.begin()->first <= now) {
    Process& process = processes_.at(ends_.begin()->second);
    const std::int64_t at = ends_.begin()->first;
    ends_.erase(ends_.begin());
    if (process.alive && at == process.ends_ms) end(process, at);
  }
  if (!sink_ || messages_.empty() || messages_.begin()->first > now) return false;
  core::Event event = std::move(messages_.begin()->second);
  messages_.erase(messages_.begin());
  sink_(std::move(event));
  return true;
}

bool FakeExecutor::is_alive(const core::RunId& run) const {
  return std::any_of(processes_.begin(), processes_.end(),
                     [&](const auto& entry) { return entry.second.alive && entry.second.launch.run == run; });
}

}  // namespace overnight::fakes
