#include "workers/keeper/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>

#include "workers/keeper/artifacts.h"
#include "workers/keeper/assent.h"
#include "workers/keeper/clock.h"
#include "workers/keeper/folders.h"
#include "workers/keeper/limit_watch.h"
#include "workers/keeper/metric_book.h"
#include "workers/keeper/metrics_file.h"
#include "workers/keeper/phase_run.h"

namespace overnight::workers {
namespace {

constexpr std::int64_t set_up_free_ms = 1000;  // of an attempt's set-up, not charged to its phases

bool has_evaluate(const Order& order) {
  return std::any_of(order.phases.begin(), order.phases.end(),
                     [](const PhaseOrder& phase) { return phase.phase == Phase::evaluate; });
}

class Attempt {
 public:
  Attempt(const Order& order, const AttemptFolder& folder, Channel& channel, const KeeperSettings& settings,
          AttemptGroups& groups, std::optional<ProcessTree> prepared)
      : order_(order),
        folder_(folder),
        settings_(settings),
        assent_(channel, order.lease_ms),
        limits_(order.limits, folder, groups, settings.containment.needs_user_namespace),
        metrics_(order.objective, has_evaluate(order)),
        metrics_file_(folder.fd(), "metrics.jsonl"),
        accounted_ms_(monotonic_ms()),
        parts_{order,
               folder,
               settings.containment,
               groups,
               channel,
               assent_,
               limits_,
               metrics_,
               metrics_file_,
               order.limits.wall_ms > 0 ? accounted_ms_ + order.limits.wall_ms : 0,
               settings.inherited,
               settings.program_folder,
               std::move(prepared)},
        receipt_(receipt_for(order, Cause::completed, "")) {
    groups.limit(order.limits.memory_bytes, order.limits.processes * tasks_per_process);
    receipt_.started_unix_ms = unix_ms();
    receipt_.kill_mechanism = std::string(name_of(settings.containment.mechanism));
    channel.send(KeeperReady{::getpid(), receipt_.kill_mechanism});
  }

  Receipt run() {
    receipt_.phase = order_.phases.front().phase;
    await_lease();
    if (may_go_on()) {
      if (auto failure = lay_out()) end_with(std::move(*failure));
    }
    for (const auto& phase : order_.phases) {
      if (!ended_ && may_go_on()) run_phase(phase);
    }
    if (!ended_) judge_objective();
    close_books();
    return std::move(receipt_);
  }

 private:
  // The wall is often the sum of what the phases ask for: our own work must not be taken out of theirs, as far as the
  // allowance that is reserved for a kill covers it. All time since the last phase is our own; returns the moment up to
  // which it was accounted for, from which the next phase is to count.
  std::int64_t begin_phase() {
    const std::int64_t now = monotonic_ms();
    const std::int64_t given = std::clamp<std::int64_t>(now - accounted_ms_, 0, set_up_left_ms_);
    set_up_left_ms_ -= given;
    if (parts_.wall_deadline_ms > 0) parts_.wall_deadline_ms += given;
    return now;
  }

  void await_lease() {
    // Looks before it waits: an orchestrator that died while we started has closed the channel already, and a closed
    // channel is no longer waited for.
    for (assent_.look(); !assent_.granted() && !assent_.demand(); assent_.look()) {
      std::vector<pollfd> waiting;
      assent_.add_to(waiting);
      ::poll(waiting.data(), waiting.size(), -1);
    }
  }

  // False, with the reason noted, if a stop or the end of the lease came between phases.
  bool may_go_on() {
    assent_.look();
    if (assent_.demand() && !ended_) end_with({assent_.demand()->cause, assent_.demand()->detail});
    if (!ended_ && is_halted()) end_with({Cause::stopped, "a HALT file lies in the home or in the run's folder"});
    return !ended_;
  }

  // Whoever halted this home while no orchestrator could hear it left a file: behind it nothing begins.
  bool is_halted() const {
    if (order_.enclosure.empty()) return false;
    return ::access((order_.enclosure + "/HALT").c_str(), F_OK) == 0 ||
           ::access((order_.enclosure + "/runs/" + order_.run + "/HALT").c_str(), F_OK) == 0;
  }

  void end_with(EndReason reason) {
    ended_ = true;
    receipt_.cause = reason.cause;
    receipt_.detail = std::move(reason.detail);
  }

  std::optional<EndReason> lay_out() {
    for (const auto& mount : order_.mounts) {
      if (::access(mount.c_str(), R_OK) != 0) {
        return EndReason{Cause::launch_failed, "the mount " + mount + " does not exist or cannot be read"};
      }
    }
    if (const auto kept = folder_.reserve_receipt(); !kept) return no_room_or(kept.error());
    if (const auto made = folder_.make_folder("artifacts"); !made) return no_room_or(made.error());
    laid_out_ = true;
    return make_place("", order_.phases.front());
  }

  // Nothing can be written to the attempt's folder: is the disk full, or is it something else?
  EndReason no_room_or(const std::string& why) const {
    const bool full = folder_.free_bytes() >= 0 && folder_.free_bytes() < std::int64_t{1} << 20;
    return {full ? Cause::out_of_disk : Cause::launch_failed, (full ? "the disk is full: " : "") + why};
  }

  static EndReason launch_failed(const std::string& why) { return {Cause::launch_failed, why}; }

  // work/, home/ and tmp/ under `prefix`, with a fresh copy of the workspace. Evaluate gets its own, so that nothing
  // but artifacts/ reaches it from train.
  std::optional<EndReason> make_place(const std::string& prefix, const PhaseOrder& phase) {
    if (!prefix.empty()) {
      if (const auto made = folder_.make_folder(prefix); !made) return no_room_or(made.error());
    }
    const std::string base = prefix.empty() ? "" : prefix + "/";
    for (const char* name : {"work", "home", "tmp"}) {
      if (const auto made = folder_.make_folder(base + name); !made) return no_room_or(made.error());
    }
    if (order_.workspace.empty()) return std::nullopt;
    std::vector<std::string> left_out = phase.hidden;  // what a phase must not see it must not get as a copy either
    left_out.push_back(order_.enclosure);
    const auto go_on = [&] {
      assent_.look();
      return !assent_.demand();
    };
    if (const auto copied = folder_.copy_into(order_.workspace, base + "work", left_out, go_on); !copied) {
      if (assent_.demand()) return EndReason{assent_.demand()->cause, assent_.demand()->detail};
      return no_room_or(copied.error());
    }
    for (const auto& replacement : order_.seed_replacements) {
      const auto replaced = folder_.replace_seed(base + "work", replacement, order_.seed);
      if (!replaced) return launch_failed(replaced.error());
    }
    return std::nullopt;
  }

  void run_phase(const PhaseOrder& phase) {
    receipt_.phase = phase.phase;
    std::string base;
    if (phase.phase == Phase::evaluate) {
      sweep();
      base = "evaluate/";
      if (auto failure = make_place("evaluate", phase)) return end_with(std::move(*failure));
    }
    // Again before each phase: the one before could have changed it.
    if (const auto written = folder_.write("experiment.json", order_.experiment_json); !written) {
      return end_with(no_room_or(written.error()));
    }
    const std::string at = order_.directory + "/" + base;
    const PhasePlace place{at + "work", at + "home", at + "tmp"};
    note_phase(PhaseRun(parts_, phase, place, base + "work").run(begin_phase()));
    accounted_ms_ = monotonic_ms();
  }

  void note_phase(PhaseEnd end) {
    receipt_.phases.push_back(end.receipt);
    receipt_.survivors += end.survivors;
    receipt_.killed_in_ms = std::max(receipt_.killed_in_ms, end.killed_in_ms);
    receipt_.log_tail = std::move(end.log_tail);
    if (end.failure) {
      end_with(std::move(*end.failure));
    } else if (end.survivors > 0) {
      end_with({Cause::infrastructure, "processes would not die after " + std::string(name_of(receipt_.phase))});
    }
  }

  void judge_objective() {
    const Report* report = metrics_.objective();
    if (!report) {
      end_with({Cause::no_metric, "everything exited with 0, but " + order_.objective + " was not reported" +
                                      (has_evaluate(order_) ? " by evaluate" : "")});
    } else if (!report->value) {
      end_with({Cause::bad_metric, order_.objective + " was reported as " + readable_tail(report->words, 64)});
    }
  }

  void sweep() {
    const Descriptor artifacts = open_unlocked(folder_.fd(), "artifacts");
    if (!artifacts && !laid_out_) return;
    if (!artifacts) {  // removed, or replaced by a link to somewhere else: evaluate and the store must not follow it
      notes_.push_back("artifacts was no folder any more and is empty now");
      (void)folder_.make_folder("artifacts");
      return;
    }
    const ArtifactSweep swept = sweep_artifacts(artifacts.get());
    receipt_.artifact_bytes = swept.bytes;
    for (const auto& name : swept.removed) {
      notes_.push_back("removed from artifacts, no regular file or too deep: " + readable_tail(name, 64));
    }
    const auto unnamed = swept.removed_count - static_cast<std::int64_t>(swept.removed.size());
    if (unnamed > 0) notes_.push_back("and " + std::to_string(unnamed) + " more");
    if (!swept.complete) notes_.push_back("artifacts hold more than can be counted");
  }

  // A full disk is everybody's: what the task worked with goes before anybody else needs the room, not when somebody
  // comes to tidy up (who perhaps cannot even start for lack of it).
  void give_room_back() {
    const bool below_floor = folder_.free_bytes() >= 0 && folder_.free_bytes() < order_.limits.free_floor_bytes;
    if (receipt_.cause == Cause::out_of_disk || below_floor) folder_.remove_working_folders();
  }

  void close_books() {
    sweep();
    give_room_back();
    receipt_.metrics = metrics_.receipts();
    if (metrics_.bad_lines() > 0) {
      notes_.push_back(std::to_string(metrics_.bad_lines()) + " lines of the metrics file were no reports");
    }
    if (metrics_.names_dropped() > 0) notes_.push_back("more than 64 metric names; the rest was dropped");
    for (const auto& note : notes_) receipt_.detail += (receipt_.detail.empty() ? "" : "; ") + note;
    receipt_.disk_bytes = limits_.measure_disk().bytes;
  }

  const Order& order_;
  const AttemptFolder& folder_;
  const KeeperSettings& settings_;
  Assent assent_;
  LimitWatch limits_;
  MetricBook metrics_;
  MetricsFile metrics_file_;
  std::int64_t accounted_ms_;  // the monotonic moment at which the last phase ended
  AttemptParts parts_;
  Receipt receipt_;
  std::vector<std::string> notes_;
  bool ended_ = false;
  bool laid_out_ = false;
  std::int64_t set_up_left_ms_ = set_up_free_ms;
};

}  // namespace

Receipt receipt_for(const Order& order, Cause cause, std::string detail) {
  Receipt receipt;
  receipt.run = order.run;
  receipt.attempt = order.attempt;
  receipt.nonce = order.nonce;
  receipt.epoch = order.epoch;
  receipt.cause = cause;
  receipt.detail = std::move(detail);
  return receipt;
}

Receipt keep(const Order& order, const AttemptFolder& folder, Channel& channel, const KeeperSettings& settings,
             AttemptGroups& groups, std::optional<ProcessTree> prepared) {
  const std::int64_t started = monotonic_ms();
  Receipt receipt = Attempt(order, folder, channel, settings, groups, std::move(prepared)).run();
  receipt.took_ms = monotonic_ms() - started;
  return receipt;
}

}  // namespace overnight::workers
