#include "orchestrator/executors/local_executor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/write.hpp>
#include <deque>
#include <fstream>
#include <random>
#include <set>

#include "budgets/invariant.h"
#include "orchestrator/executors/gpu_locks.h"
#include "orchestrator/executors/gpu_watch.h"
#include "orchestrator/executors/keeper_process.h"
#include "orchestrator/executors/leavings.h"
#include "orchestrator/executors/orphans.h"
#include "orchestrator/executors/receipt_event.h"
#include "orchestrator/executors/standby_keepers.h"
#include "orchestrator/executors/task_order.h"
#include "workers/protocol/message.h"
#include "workers/protocol/order.h"
#include "workers/protocol/receipt.h"

namespace overnight::executors {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using boost::system::error_code;

constexpr int kill_wait_ms =
    5000;  // at the end of the program: how long a keeper may take to end its tree before it is killed itself

// 128 random bits: names one launch, so that a stale keeper or receipt is never taken for a new one.
std::string fresh_nonce() {
  std::random_device random;
  std::string nonce;
  for (int i = 0; i < 4; ++i) {
    char part[9];
    std::snprintf(part, sizeof part, "%08x", random());
    nonce += part;
  }
  return nonce;
}

constexpr auto keeper_must_end_within = std::chrono::seconds(15);  // after a kill: it waits 10 s for its tree

}  // namespace

// One attempt's keeper, from its start until nothing of it is left.
struct LocalExecutor::Keeper {
  core::AttemptId attempt{};
  core::RunId run;
  std::string objective;
  std::string nonce;
  AttemptFolder folder;
  pid_t pid = -1;
  asio::posix::stream_descriptor channel;
  asio::posix::stream_descriptor exited;  // its pidfd
  asio::steady_timer lease;
  asio::steady_timer escalation;  // runs once it was told to kill
  core::SlotId slot{};
  std::string incoming;
  std::array<char, 4096> chunk{};
  std::deque<std::string> outgoing;
  std::int64_t sequence = 0;
  bool begun = false;                       // it has its order and its first lease
  bool started = false;                     // it said so
  bool in_phase = false;                    // its first task has started
  std::optional<workers::Stop> early_stop;  // came before it had begun
  bool of_earlier_life = false;
  bool disturbed = false;  // somebody else used its GPU

  explicit Keeper(asio::io_context& io) : channel(io), exited(io), lease(io), escalation(io) {}
};

struct LocalExecutor::Impl : std::enable_shared_from_this<Impl> {
  asio::io_context& io;
  const ports::Clock& clock;
  LocalSettings settings;
  ports::Sink sink;
  std::function<void(const LiveMetric&)> metrics;
  std::map<core::AttemptId, std::shared_ptr<Keeper>> keepers;
  std::map<core::SlotId, core::SlotFound> slots;
  std::map<core::AttemptId, core::RunId> expected_runs;
  std::set<core::AttemptId> settled;  // of this life: launching or telling them again does nothing
  std::string containment;            // as the keeper probed it, once
  GpuLocks gpu_locks;
  std::map<core::SlotId, std::string> slot_reasons;  // why a slot is not usable now; empty: it is
  asio::steady_timer gpu_look;
  bool watches_gpus = false;
  StandbyKeepers standby;
  asio::thread_pool disk{2};     // flushes orders, so that the loop need not wait
  asio::thread_pool sweeper{1};  // deletes folders and asks drivers; neither must stop the loop

  Impl(asio::io_context& io_, const ports::Clock& clock_, LocalSettings settings_, ports::Sink sink_,
       std::function<void(const LiveMetric&)> metrics_)
      : io(io_),
        clock(clock_),
        settings(std::move(settings_)),
        sink(std::move(sink_)),
        metrics(std::move(metrics_)),
        gpu_locks(settings.gpu_lock_places),
        gpu_look(io_),
        standby(settings.keeper) {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    // The sweeper and what it starts give way to tasks that begin.
    asio::post(sweeper, [] { setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 19); });
    prctl(PR_SET_DUMPABLE, 0);  // our environment holds secrets; a task of our own user must not read it in /proc
  }

  void tell_gone(core::AttemptGone gone) {
    settled.insert(gone.attempt);
    sink(std::move(gone));
  }

  // ---- speaking with a keeper ----

  void send(const std::shared_ptr<Keeper>& keeper, decltype(workers::Message::body) body) {
    workers::Message message{core::number(keeper->attempt), keeper->nonce, ++keeper->sequence, std::move(body)};
    keeper->outgoing.push_back(workers::to_json_line(message));
    if (keeper->outgoing.size() == 1) write_next(keeper);
  }

  void write_next(const std::shared_ptr<Keeper>& keeper) {
    asio::async_write(keeper->channel, asio::buffer(keeper->outgoing.front()),
                      [self = shared_from_this(), keeper](error_code error, std::size_t) {
                        if (error) return;  // its end is told by its pidfd
                        keeper->outgoing.pop_front();
                        if (!keeper->outgoing.empty()) self->write_next(keeper);
                      });
  }

  void renew_lease_later(const std::shared_ptr<Keeper>& keeper) {
    if (settings.lease_ms <= 0) return;
    keeper->lease.expires_after(std::chrono::milliseconds(settings.lease_ms / 4));
    keeper->lease.async_wait([self = shared_from_this(), keeper](error_code error) {
      if (error || !keeper->channel.is_open()) return;  // it ended meanwhile
      signal_to(*keeper, SIGCONT);                      // where a task can signal its keeper, it could have stopped it
      self->send(keeper, workers::GrantLease{self->settings.lease_ms});
      self->renew_lease_later(keeper);
    });
  }

  void read_next(const std::shared_ptr<Keeper>& keeper) {
    keeper->channel.async_read_some(asio::buffer(keeper->chunk),
                                    [self = shared_from_this(), keeper](error_code error, std::size_t n) {
                                      if (error) return;
                                      keeper->incoming.append(keeper->chunk.data(), n);
                                      self->take_lines(*keeper, keeper);
                                      if (keeper->incoming.size() > workers::message_bytes_max)
                                        return;  // not our protocol: what it does is told by its exit
                                      self->read_next(keeper);
                                    });
  }

  void take_lines(Keeper& keeper, const std::shared_ptr<Keeper>& shared) {
    for (std::size_t end; (end = keeper.incoming.find('\n')) != std::string::npos;) {
      const std::string line = keeper.incoming.substr(0, end);
      keeper.incoming.erase(0, end + 1);
      const auto message = workers::message_from_json(line);
      if (message && message->attempt == core::number(keeper.attempt) && message->nonce == keeper.nonce)
        heard(shared, *message);
    }
  }

  void heard(const std::shared_ptr<Keeper>& keeper, const workers::Message& message) {
    if (std::holds_alternative<workers::KeeperReady>(message.body) && !keeper->started) {
      keeper->started = true;
      sink(core::AttemptStarted{keeper->attempt});
    } else if (const auto* phase = std::get_if<workers::PhaseStarted>(&message.body)) {
      sink(core::AttemptInPhase{keeper->attempt, phase->phase});
      keeper->in_phase = true;
      refill_standby();
    } else if (const auto* seen = std::get_if<workers::MetricSeen>(&message.body)) {
      if (metrics) metrics({keeper->attempt, seen->name, seen->value, seen->step});
    }
  }

  // To make a keeper takes from the processor what the start of a task needs: it waits while a slot is being filled,
  // unless few stand by.
  void refill_standby() {
    const std::size_t all = std::min(slots.size(), standby_keepers_max);
    const bool filling = std::ranges::any_of(
        keepers, [](const auto& entry) { return !entry.second->in_phase && !entry.second->of_earlier_life; });
    standby.refill(filling ? all / 2 : all, containment);
  }

  // ---- its end ----

  void await_exit(const std::shared_ptr<Keeper>& keeper) {
    keeper->exited.async_wait(asio::posix::stream_descriptor::wait_read,
                              [self = shared_from_this(), keeper](error_code error) {
                                if (!error) self->ended(keeper);
                              });
  }

  void ended(const std::shared_ptr<Keeper>& keeper) {
    int status = 0;
    if (!keeper->of_earlier_life) waitpid(keeper->pid, &status, 0);
    keeper->lease.cancel();
    keeper->escalation.cancel();
    error_code ignored;
    keeper->channel.close(ignored);
    keeper->exited.close(ignored);
    keepers.erase(keeper->attempt);
    core::AttemptGone gone = gone_from_folder(keeper->attempt, keeper->folder, keeper->objective, keeper->nonce);
    if (status != 0) {
      // A receipt that lies there all the same may be the task's own work.
      gone = gone_without_receipt(keeper->attempt, core::Cause::infrastructure, how_it_ended(status));
    }
    gone.disturbed = gone.disturbed || keeper->disturbed;
    if (status != 0 || keeper->of_earlier_life || gone.survivors > 0) end_orphans(keeper->folder.path, gone);
    sweep(keeper->folder.path);
    tell_gone(std::move(gone));
  }

  static std::string how_it_ended(int status) {
    if (WIFSIGNALED(status)) return "its keeper was killed by signal " + std::to_string(WTERMSIG(status));
    return "its keeper failed with exit status " + std::to_string(WEXITSTATUS(status));
  }

  // Only what is seen to be gone is told as gone.
  void end_orphans(const fs::path& folder, core::AttemptGone& gone) {
    const OrphanTally adopted = kill_orphans(living_keepers());
    const OrphanTally strayed = kill_leftovers(folder);
    gone.survivors = adopted.left + strayed.left;
    const int killed = adopted.killed + strayed.killed;
    if (killed > 0) gone.detail += " (" + std::to_string(killed) + " processes outlived their keeper and were killed)";
  }

  std::set<pid_t> living_keepers() const {
    std::set<pid_t> pids = standby.pids();
    for (const auto& [_, keeper] : keepers) pids.insert(keeper->pid);
    return pids;
  }

  // By its pidfd: a pid could be somebody else's by now.
  static void signal_to(Keeper& keeper, int number) {
    if (keeper.exited.is_open()) syscall(SYS_pidfd_send_signal, keeper.exited.native_handle(), number, nullptr, 0);
  }

  // A keeper that was told to kill and is still there is itself in the way.
  void escalate_later(const std::shared_ptr<Keeper>& keeper) {
    keeper->escalation.expires_after(keeper_must_end_within);
    keeper->escalation.async_wait([keeper](error_code error) {
      if (error) return;
      signal_to(*keeper, SIGCONT);
      signal_to(*keeper, SIGKILL);
    });
  }

  // ---- GPUs ----

  // Slots whose GPUs we have locked; those that others hold are left out.
  std::vector<core::SlotFound> lock_slots(const core::Study& study, std::vector<GpuFound> gpus) {
    while (true) {
      auto found = slots_of(usable_cpus(), gpus, study.task.cpus, study.task.gpus, study.executor.slots);
      std::string refused;
      for (const core::SlotFound& slot : found) {
        for (const std::string& uuid : slot.gpus) {
          if (refused.empty() && !gpu_locks.take(uuid)) refused = uuid;
        }
      }
      if (refused.empty()) return found;
      for (GpuFound& gpu : gpus) {
        if (gpu.uuid == refused) gpu.used_by = "another run on this machine";
      }
    }
  }

  void watch_gpus() {
    if (watches_gpus) return;
    watches_gpus = true;
    look_at_gpus_later();
  }

  void look_at_gpus_later() {
    gpu_look.expires_after(settings.gpu_look_every);
    gpu_look.async_wait([self = shared_from_this()](error_code error) {
      if (error) return;
      asio::post(self->sweeper, [self] {
        GpusFound gpus = self->settings.gpus();
        asio::post(self->io, [self, gpus = std::move(gpus)] { self->take_gpus(gpus); });
      });
    });
  }

  void take_gpus(const GpusFound& gpus) {
    if (!watches_gpus) return;
    for (SlotVerdict& verdict : judge_slots(slots, gpus, slot_reasons)) {
      for (const auto& [_, keeper] : keepers) {
        if (keeper->slot == verdict.checked.slot && verdict.disturbed) keeper->disturbed = true;
      }
      if (verdict.changed) sink(std::move(verdict.checked));
    }
    look_at_gpus_later();
  }

  void sweep(const fs::path& folder) {
    asio::post(sweeper, [folder, keeper = settings.keeper] { remove_leavings(keeper, folder); });
  }

  void watch(const std::shared_ptr<Keeper>& keeper, int channel, int pidfd) {
    if (channel >= 0) keeper->channel.assign(channel);
    keeper->exited.assign(pidfd);
    keepers[keeper->attempt] = keeper;
    if (channel >= 0) read_next(keeper);
    await_exit(keeper);
  }

  // ---- launching ----

  void refuse(core::AttemptId attempt, const std::string& why) {
    core::AttemptGone gone = gone_without_receipt(attempt, core::Cause::launch_failed, why);
    gone.took = core::Millis{};
    tell_gone(std::move(gone));
  }

  void launch(const core::Launch& decided, const core::Study& study) {
    if (keepers.contains(decided.attempt) || settled.contains(decided.attempt)) return;
    const auto slot = slots.find(decided.slot);
    if (slot == slots.end())
      return refuse(decided.attempt, "slot " + std::to_string(core::number(decided.slot)) + " does not exist here");
    auto keeper = std::make_shared<Keeper>(io);
    keeper->attempt = decided.attempt;
    keeper->run = decided.run;
    keeper->slot = decided.slot;
    keeper->objective = study.objective.metric;
    keeper->nonce = fresh_nonce();
    keeper->folder = attempt_folder(settings.home, decided.run, decided.attempt);

    const Place place{settings.home_uuid, settings.home, settings.epoch,   keeper->nonce,
                      keeper->folder,     slot->second,  settings.lease_ms};
    std::error_code failed;
    fs::create_directories(keeper->folder.path, failed);
    std::string error = failed ? failed.message() : "";
    const std::string text = workers::to_json(order_for(decided, study, place));
    const int order = failed ? -1 : write_new(keeper->folder.order(), text, error);
    if (order < 0) return refuse(decided.attempt, "the attempt's folder cannot be written: " + error);
    auto started = standby.take(containment);
    if (!started) {
      close(order);
      return refuse(decided.attempt, started.error());
    }
    keeper->pid = started->pid;
    std::ofstream(keeper->folder.keeper_pid()) << started->identity << "\n";
    watch(keeper, started->channel, started->pidfd);
    begin_when_durable(keeper, order);
  }

  // The keeper reads its order and lays out its folder at once, but gets no lease before the order is on the disk:
  // after a power cut we must know that it may have run. The lease comes from the thread that saw to that, so that it
  // need not wait until the loop has time; the loop writes to the channel only afterwards.
  void begin_when_durable(const std::shared_ptr<Keeper>& keeper, int order) {
    const int channel = fcntl(keeper->channel.native_handle(), F_DUPFD_CLOEXEC, 0);
    const bool told = send_whole(channel, keeper->folder.order().string() + '\0');
    std::string lease = workers::to_json_line(
        {core::number(keeper->attempt), keeper->nonce, ++keeper->sequence, workers::GrantLease{settings.lease_ms}});
    asio::post(disk, [self = shared_from_this(), keeper, order, channel, told, lease = std::move(lease)] {
      const bool begun = make_durable(order) && told && send_whole(channel, lease);
      close(channel);
      asio::post(self->io, [self, keeper, begun] { self->after_begin(keeper, begun); });
    });
  }

  void after_begin(const std::shared_ptr<Keeper>& keeper, bool begun) {
    if (!keeper->channel.is_open()) return;          // it ended meanwhile
    if (!begun) return signal_to(*keeper, SIGKILL);  // nothing runs below it
    keeper->begun = true;
    if (keeper->early_stop) send(keeper, *keeper->early_stop);
    renew_lease_later(keeper);
  }

  // ---- earlier lives ----

  // Returns true if it is still alive (its end will be told later).
  bool look_for(core::AttemptId attempt, const AttemptFolder& folder, const core::RunId& run) {
    std::error_code ignored;
    if (!fs::exists(folder.order(), ignored)) {
      core::AttemptGone gone =
          gone_without_receipt(attempt, core::Cause::lease_lost, "it was decided, but never launched");
      gone.took = core::Millis{};
      tell_gone(std::move(gone));
      return false;
    }
    const auto order = workers::order_from_json(read_bounded(folder.order(), workers::receipt_bytes_max * 16));
    auto keeper = std::make_shared<Keeper>(io);
    keeper->attempt = attempt;
    keeper->run = run;
    keeper->folder = folder;
    keeper->of_earlier_life = true;
    if (order) keeper->objective = order->objective, keeper->nonce = order->nonce;
    const std::string identity = read_bounded(folder.keeper_pid(), 64);
    if (const auto pidfd = reopen(identity, keeper->pid)) {
      watch(keeper, -1, *pidfd);  // its channel is closed: it is ending by itself
      return true;
    }
    core::AttemptGone gone = gone_from_folder(attempt, folder, keeper->objective, keeper->nonce);
    end_orphans(folder.path, gone);
    if (gone.cause == core::Cause::infrastructure)
      gone.cause = core::Cause::lease_lost;  // it died with the orchestrator
    sweep(folder.path);
    tell_gone(std::move(gone));
    return false;
  }
};

LocalExecutor::LocalExecutor(boost::asio::io_context& io, const ports::Clock& clock, LocalSettings settings,
                             ports::Sink sink, std::function<void(const LiveMetric&)> metrics)
    : impl_(std::make_shared<Impl>(io, clock, std::move(settings), std::move(sink), std::move(metrics))) {}

LocalExecutor::~LocalExecutor() {
  impl_->watches_gpus = false;
  impl_->gpu_look.cancel();
  for (auto& [_, keeper] : impl_->keepers) {
    error_code ignored;
    keeper->lease.cancel();
    keeper->escalation.cancel();
    keeper->channel.close(ignored);  // the keeper takes this as our death
  }
  for (auto& [_, keeper] : impl_->keepers) {
    pollfd wait{keeper->exited.native_handle(), POLLIN, 0};
    if (poll(&wait, 1, kill_wait_ms) == 0) Impl::signal_to(*keeper, SIGKILL);
    if (!keeper->of_earlier_life) waitpid(keeper->pid, nullptr, 0);
  }
  if (!impl_->keepers.empty()) kill_orphans({});
  impl_->gpu_locks.release_all();  // queued handlers may keep the rest of us for a while
  impl_->disk.join();
  impl_->sweeper.join();
}

std::vector<core::SlotFound> LocalExecutor::capacity(const core::Study& study) {
  std::vector<GpuFound> gpus;
  if (study.task.gpus > 0 && impl_->settings.gpus) gpus = impl_->settings.gpus().found;
  for (GpuFound& gpu : gpus) gpu.used_by = foreign_user(gpu, true);
  auto found = impl_->lock_slots(study, std::move(gpus));
  for (const core::SlotFound& slot : found) impl_->slots[slot.slot] = slot;
  if (impl_->containment.empty()) impl_->containment = probe_containment(impl_->settings.keeper);
  if (study.task.gpus > 0 && !found.empty()) impl_->watch_gpus();
  return found;
}

void LocalExecutor::launch(const core::Launch& launch, const core::Study& study) { impl_->launch(launch, study); }

void LocalExecutor::stop(core::AttemptId attempt, core::StopLevel level, const std::string& reason) {
  const auto found = impl_->keepers.find(attempt);
  if (found == impl_->keepers.end()) return;
  const std::shared_ptr<Keeper>& keeper = found->second;
  if (keeper->of_earlier_life) {  // no channel: it is ending already
    if (level == core::StopLevel::kill) impl_->signal_to(*keeper, SIGQUIT);
  } else if (keeper->begun) {
    impl_->send(keeper, workers::Stop{level, reason});
  } else {
    keeper->early_stop = workers::Stop{level, reason};
  }
  if (level == core::StopLevel::kill) impl_->escalate_later(keeper);
}

void LocalExecutor::drop_artifacts(core::AttemptId attempt, const core::RunId& run) {
  const fs::path artifacts = attempt_folder(impl_->settings.home, run, attempt).artifacts();
  asio::post(impl_->sweeper, [self = impl_, artifacts, attempt, run] {
    std::error_code ignored;
    fs::remove_all(artifacts, ignored);
    asio::post(self->io, [self, attempt, run] { self->sink(core::ArtifactsDropped{attempt, run, {}}); });
  });
}

void LocalExecutor::expect(core::AttemptId attempt, const core::RunId& run) { impl_->expected_runs[attempt] = run; }

void LocalExecutor::observe(const std::vector<core::AttemptId>& expected) {
  core::Observed observed;
  observed.as_of = impl_->clock.now();
  for (const core::AttemptId attempt : expected) {
    if (impl_->keepers.contains(attempt) || impl_->settled.contains(attempt)) continue;
    const auto run = impl_->expected_runs.find(attempt);
    if (run != impl_->expected_runs.end())
      impl_->look_for(attempt, attempt_folder(impl_->settings.home, run->second, attempt), run->second);
  }
  for (const auto& [attempt, _] : impl_->keepers) observed.live.push_back(attempt);
  impl_->sink(std::move(observed));
}

}  // namespace overnight::executors
