#include "orchestrator/executors/local_executor.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
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
#include "orchestrator/executors/keeper_process.h"
#include "orchestrator/executors/receipt_event.h"
#include "orchestrator/executors/task_order.h"
#include "workers/protocol/message.h"
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

std::string read_bounded(const fs::path& path, std::size_t most) {
  std::ifstream in(path, std::ios::binary);
  std::string text(most, '\0');
  in.read(text.data(), static_cast<std::streamsize>(most));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, in.gcount())));
  return text;
}

void remove_working_files(const fs::path& folder) {
  std::error_code ignored;
  for (const char* part : {"work", "home", "tmp"}) fs::remove_all(folder / part, ignored);
}

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
  std::string incoming;
  std::array<char, 4096> chunk{};
  std::deque<std::string> outgoing;
  std::int64_t sequence = 0;
  bool started = false;
  bool of_earlier_life = false;

  explicit Keeper(asio::io_context& io) : channel(io), exited(io), lease(io) {}
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
  asio::thread_pool sweeper{1};       // deletes folders; a large one must not stop the loop

  Impl(asio::io_context& io_, const ports::Clock& clock_, LocalSettings settings_, ports::Sink sink_,
       std::function<void(const LiveMetric&)> metrics_)
      : io(io_), clock(clock_), settings(std::move(settings_)), sink(std::move(sink_)), metrics(std::move(metrics_)) {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
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

  void grant_lease(const std::shared_ptr<Keeper>& keeper) {
    send(keeper, workers::GrantLease{settings.lease_ms});
    if (settings.lease_ms <= 0) return;
    keeper->lease.expires_after(std::chrono::milliseconds(settings.lease_ms / 4));
    keeper->lease.async_wait([self = shared_from_this(), keeper](error_code error) {
      if (!error) self->grant_lease(keeper);
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
      grant_lease(keeper);
      sink(core::AttemptStarted{keeper->attempt});
    } else if (const auto* phase = std::get_if<workers::PhaseStarted>(&message.body)) {
      sink(core::AttemptInPhase{keeper->attempt, phase->phase});
    } else if (const auto* seen = std::get_if<workers::MetricSeen>(&message.body)) {
      if (metrics) metrics({keeper->attempt, seen->name, seen->value, seen->step});
    }
  }

  // ---- its end ----

  void await_exit(const std::shared_ptr<Keeper>& keeper) {
    keeper->exited.async_wait(asio::posix::stream_descriptor::wait_read,
                              [self = shared_from_this(), keeper](error_code error) {
                                if (!error) self->ended(keeper);
                              });
  }

  void ended(const std::shared_ptr<Keeper>& keeper) {
    if (!keeper->of_earlier_life) waitpid(keeper->pid, nullptr, 0);
    keeper->lease.cancel();
    error_code ignored;
    keeper->channel.close(ignored);
    keeper->exited.close(ignored);
    keepers.erase(keeper->attempt);
    const int orphans = kill_orphans(keeper->folder.path);
    core::AttemptGone gone = settle_folder(keeper->attempt, keeper->folder, keeper->objective, keeper->nonce);
    if (orphans > 0)
      gone.detail += " (" + std::to_string(orphans) + " processes outlived their keeper and were killed)";
    sweep(keeper->folder.path);
    tell_gone(std::move(gone));
  }

  core::AttemptGone settle_folder(core::AttemptId attempt, const AttemptFolder& folder, const std::string& objective,
                                  const std::string& nonce) {
    std::error_code ignored;
    if (!fs::exists(folder.receipt(), ignored)) {
      return gone_without_receipt(attempt, core::Cause::infrastructure, "its keeper ended without a receipt");
    }
    const auto receipt = workers::receipt_from_json(read_bounded(folder.receipt(), workers::receipt_bytes_max));
    if (!receipt) {
      return gone_without_receipt(attempt, core::Cause::infrastructure,
                                  "its receipt cannot be read: " + receipt.error().explain);
    }
    if (receipt->attempt != core::number(attempt) || (!nonce.empty() && receipt->nonce != nonce)) {
      return gone_without_receipt(attempt, core::Cause::infrastructure, "its receipt belongs to another launch");
    }
    return gone_from(*receipt, objective);
  }

  void sweep(const fs::path& folder) {
    asio::post(sweeper, [folder] { remove_working_files(folder); });
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
    keeper->objective = study.objective.metric;
    keeper->nonce = fresh_nonce();
    keeper->folder = attempt_folder(settings.home, decided.run, decided.attempt);

    Place place{settings.home_uuid, settings.epoch, keeper->nonce, keeper->folder, slot->second, {}, settings.lease_ms};
    for (const core::Secret& secret : study.task.secrets)
      place.secrets[secret.name] = settings.environment(secret.name);
    std::error_code failed;
    fs::create_directories(keeper->folder.path, failed);
    std::string error = failed ? failed.message() : "";
    if (failed || !write_durably(keeper->folder.order(), workers::to_json(order_for(decided, study, place)), error)) {
      return refuse(decided.attempt, "the attempt's folder cannot be written: " + error);
    }
    auto started = start_keeper(settings.keeper, keeper->folder.order(), keeper->folder.keeper_log());
    if (!started) return refuse(decided.attempt, started.error());
    keeper->pid = started->pid;
    std::ofstream(keeper->folder.keeper_pid()) << identity_of(started->pid) << "\n";
    watch(keeper, started->channel, started->pidfd);
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
    kill_orphans(folder.path);
    core::AttemptGone gone = settle_folder(attempt, folder, keeper->objective, keeper->nonce);
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
  for (auto& [_, keeper] : impl_->keepers) {
    error_code ignored;
    keeper->lease.cancel();
    keeper->channel.close(ignored);  // the keeper takes this as our death
  }
  for (auto& [_, keeper] : impl_->keepers) {
    pollfd wait{keeper->exited.native_handle(), POLLIN, 0};
    if (poll(&wait, 1, kill_wait_ms) == 0) kill(keeper->pid, SIGKILL);
    if (!keeper->of_earlier_life) waitpid(keeper->pid, nullptr, 0);
    kill_orphans(keeper->folder.path);
  }
  impl_->sweeper.join();
}

std::vector<core::SlotFound> LocalExecutor::capacity(const core::Study& study) {
  const std::vector<GpuFound> gpus = impl_->settings.gpus ? impl_->settings.gpus() : std::vector<GpuFound>{};
  auto found = slots_of(usable_cpus(), gpus, study.task.cpus, study.task.gpus, study.executor.slots);
  for (const core::SlotFound& slot : found) impl_->slots[slot.slot] = slot;
  return found;
}

void LocalExecutor::launch(const core::Launch& launch, const core::Study& study) { impl_->launch(launch, study); }

void LocalExecutor::stop(core::AttemptId attempt, core::StopLevel level, const std::string& reason) {
  const auto found = impl_->keepers.find(attempt);
  if (found == impl_->keepers.end()) return;
  if (found->second->of_earlier_life || !found->second->started) {
    // No channel, or no lease yet: nothing but the keeper itself can be alive, or it is ending already.
    if (level == core::StopLevel::kill) kill(found->second->pid, SIGQUIT);
    return;
  }
  impl_->send(found->second, workers::Stop{level, reason});
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
