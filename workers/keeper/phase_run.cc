#include "workers/keeper/phase_run.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <limits>

#include "workers/keeper/clock.h"

namespace overnight::workers {
namespace {

constexpr int pipe_bytes = 256 * 1024;
constexpr std::int64_t read_per_turn = 1 << 20;  // of one stream, so that a flood on one does not starve the rest
constexpr std::int64_t same_moment_ms = 100;     // the end of a phase and of the attempt are told as the phase's
constexpr std::int64_t no_deadline = std::numeric_limits<std::int64_t>::max();

std::string seconds_text(std::int64_t ms) {
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms";
}

}  // namespace

PhaseRun::PhaseRun(AttemptParts& attempt, const PhaseOrder& phase, const PhasePlace& place,
                   const std::string& work_relative)
    : attempt_(attempt),
      phase_(phase),
      place_(place),
      work_relative_(work_relative),
      out_{{},
           LogFile(attempt.folder.fd(), std::string(name_of(phase.phase)) + ".stdout.log",
                   attempt.order.limits.log_bytes),
           {}},
      err_{{},
           LogFile(attempt.folder.fd(), std::string(name_of(phase.phase)) + ".stderr.log",
                   attempt.order.limits.log_bytes),
           {}},
      patterns_(phase.metrics) {}

PhaseEnd PhaseRun::run(std::int64_t started_ms) {
  started_ms_ = started_ms;
  started_unix_ms_ = unix_ms();
  attempt_.metrics_file.begin();
  if (auto failure = start()) {
    failure_ = std::move(failure);
    return finish();
  }
  gpus_.emplace(attempt_.order.gpus, attempt_.program_folder, attempt_.inherited);  // the task need not wait for it
  next_look_ms_ = started_ms_ + attempt_.limits.look_every_ms();
  while (!over_) {
    wait();
    read(out_, false);
    read(err_, false);
    handle_tree();
    handle_assent();
    handle_clock();
  }
  return finish();
}

bool PhaseRun::open_pipe(Stream& stream, Descriptor& write_end) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return false;
  stream.pipe.reset(ends[0]);
  write_end.reset(ends[1]);
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  ::fcntl(ends[0], F_SETPIPE_SZ, pipe_bytes);  // fewer turns when much is printed; not essential
  return true;
}

std::optional<EndReason> PhaseRun::start() {
  std::int64_t planned_ms = phase_.budget_ms > 0 ? phase_.budget_ms : phase_.timeout_ms;
  if (attempt_.wall_deadline_ms > 0) {
    const std::int64_t left = std::max<std::int64_t>(1, attempt_.wall_deadline_ms - started_ms_);
    planned_ms = planned_ms > 0 ? std::min(planned_ms, left) : left;
  }
  const auto env = environment_of(attempt_.order, phase_, place_, attempt_.inherited,
                                  planned_ms > 0 ? started_unix_ms_ + planned_ms : 0, attempt_.program_folder);
  LeaderSpec spec;
  spec.program = find_program(phase_.command.front(), env.at("PATH"), place_.work);
  if (spec.program.empty()) {
    return EndReason{Cause::launch_failed, "there is no program \"" + phase_.command.front() + "\" to run " +
                                               std::string(name_of(phase_.phase)) + " (looked in " + env.at("PATH") +
                                               ")"};
  }
  spec.command = phase_.command;
  for (const auto& [name, value] : env) spec.env.push_back(name + "=" + value);
  spec.cpus = attempt_.order.cpus;
  spec.file_bytes_max = attempt_.order.limits.disk_bytes;
  spec.tasks_max = attempt_.order.limits.processes * tasks_per_process;
  spec.view = view(spec.program);
  const Descriptor work = attempt_.folder.open_folder(work_relative_);  // a real folder, no link
  Descriptor out;
  Descriptor err;
  if (!work || !open_pipe(out_, out) || !open_pipe(err_, err)) {
    return EndReason{Cause::infrastructure, "no working folder or no pipe: " + std::string(std::strerror(errno))};
  }
  spec.work_path = place_.work;
  return start_tree(spec, {out.get(), err.get()});
}

std::optional<EndReason> PhaseRun::start_tree(const LeaderSpec& spec, const LeaderDescriptors& descriptors) {
  if (attempt_.prepared) tree_.emplace(std::move(*attempt_.prepared));
  attempt_.prepared.reset();
  if (tree_ && tree_->start(spec, descriptors)) return std::nullopt;
  tree_.reset();  // none stood by, or what did was killed meanwhile
  auto tree = ProcessTree::prepare(attempt_.containment, attempt_.groups);
  if (!tree) return EndReason{Cause::infrastructure, tree.error()};
  tree_.emplace(std::move(*tree));
  if (tree_->start(spec, descriptors)) return std::nullopt;
  return EndReason{Cause::launch_failed, "the process for " + std::string(name_of(phase_.phase)) +
                                             " could not be told what to run; is its command with its environment "
                                             "longer than " +
                                             std::to_string(SharedText::bytes_max >> 20) + " MiB?"};
}

// Whether the study itself names something in the home, outside the attempt's folder: then the home stays in sight.
bool PhaseRun::needs_enclosure(const std::string& program) const {
  const Order& order = attempt_.order;
  const auto inside = [&](const std::string& path) {
    return path.starts_with(order.enclosure + "/") && !path.starts_with(order.directory + "/");
  };
  const auto value_inside = [&](const auto& entry) { return inside(entry.second); };
  return inside(program) || inside(order.workspace + "/") || std::ranges::any_of(phase_.command, inside) ||
         std::ranges::any_of(order.mounts, inside) || std::ranges::any_of(order.env, value_inside) ||
         std::ranges::any_of(phase_.env, value_inside);
}

PrivateView PhaseRun::view(const std::string& program) const {
  const Order& order = attempt_.order;
  PrivateView view{phase_.hidden, order.mounts, order.enclosure, order.directory, order.limits.memory_bytes};
  if (needs_enclosure(program)) view.enclosure.clear();
  view.hidden.push_back(order.directory + "/order.json");  // who knows its nonce can write a receipt
  return view;
}

std::int64_t PhaseRun::next_deadline() const {
  std::int64_t next = next_look_ms_;
  if (grace_ends_ms_ > 0) next = std::min(next, grace_ends_ms_);
  if (phase_.timeout_ms > 0) next = std::min(next, started_ms_ + phase_.timeout_ms);
  if (phase_.budget_ms > 0 && !budget_reached_) next = std::min(next, started_ms_ + phase_.budget_ms);
  if (attempt_.wall_deadline_ms > 0) next = std::min(next, attempt_.wall_deadline_ms);
  return next;
}

void PhaseRun::wait() {
  std::vector<pollfd> waiting;
  attempt_.assent.add_to(waiting);
  waiting.push_back({tree_->note_fd(), POLLIN, 0});
  waiting.push_back({tree_->end_fd(), POLLIN, 0});
  if (out_.pipe) waiting.push_back({out_.pipe.get(), POLLIN, 0});
  if (err_.pipe) waiting.push_back({err_.pipe.get(), POLLIN, 0});
  const std::int64_t left = std::clamp<std::int64_t>(next_deadline() - monotonic_ms(), 0, 60'000);
  ::poll(waiting.data(), waiting.size(), static_cast<int>(left));
}

void PhaseRun::handle_tree() {
  while (!over_) {
    const auto event = tree_->next_event();
    if (!event) return;
    switch (event->kind) {
      case TreeEvent::Kind::leader_started:
        attempt_.channel.send(PhaseStarted{phase_.phase, event->value});
        break;
      case TreeEvent::Kind::group_refused:
        attempt_.limits.group_refused();
        break;
      case TreeEvent::Kind::view_refused:
        fail(Cause::launch_failed, "private data cannot be hidden from " + std::string(name_of(phase_.phase)) + ": " +
                                       std::strerror(event->value));
        break;
      case TreeEvent::Kind::exec_failed:
        fail(Cause::launch_failed, "cannot execute " + phase_.command.front() + " for " +
                                       std::string(name_of(phase_.phase)) + ": " + std::strerror(event->value));
        break;
      case TreeEvent::Kind::leader_ended:
        leader_status_ = event->value;
        // After the stop signal the grace is the whole tree's: a shell dies of it before what it started is done.
        over_ = grace_ends_ms_ == 0;
        break;
      case TreeEvent::Kind::all_ended:
      case TreeEvent::Kind::warden_ended:
        over_ = true;
        break;
    }
  }
}

void PhaseRun::handle_assent() {
  attempt_.assent.look();
  const auto& demand = attempt_.assent.demand();
  if (!demand || over_) return;
  if (demand->level == StopLevel::kill) {
    kill_decided_ = true;
    failure_.reset();  // a kill says more than the drain that came before it
    fail(demand->cause, demand->detail);
  } else if (!failure_) {
    failure_ = EndReason{demand->cause, demand->detail};
    begin_stop(monotonic_ms());
  }
}

void PhaseRun::handle_clock() {
  const std::int64_t now = monotonic_ms();
  if (!over_ && now >= next_look_ms_) {
    attempt_.metrics_file.look([&](std::string_view line) {
      const auto report = report_from_line(line);
      if (report) take(*report);
      if (!report) attempt_.metrics.note_bad_line();
    });
    gpus_->listen();
    if (auto reason = attempt_.limits.look(tree_->warden())) {
      kill_decided_ = true;
      fail(reason->cause, reason->detail);
    }
    next_look_ms_ = now + attempt_.limits.look_every_ms();
  }
  if (over_) return;
  const std::string name(name_of(phase_.phase));
  if (attempt_.wall_deadline_ms > 0 && now >= attempt_.wall_deadline_ms) {
    kill_decided_ = true;
    // The attempt's wall may be the sum of what its phases ask for: then that of the phase is the user's own word.
    const bool own = phase_.timeout_ms > 0 && now + same_moment_ms >= started_ms_ + phase_.timeout_ms;
    fail(Cause::timeout, own ? name + ".timeout " + seconds_text(phase_.timeout_ms) + " reached"
                             : "attempt.wall " + seconds_text(attempt_.order.limits.wall_ms) + " reached in " + name);
  } else if (phase_.timeout_ms > 0 && now >= started_ms_ + phase_.timeout_ms) {
    kill_decided_ = true;
    fail(Cause::timeout, name + ".timeout " + seconds_text(phase_.timeout_ms) + " reached");
  } else if (grace_ends_ms_ > 0 && now >= grace_ends_ms_) {
    kill_decided_ = true;
    over_ = true;
  } else if (phase_.budget_ms > 0 && !budget_reached_ && now >= started_ms_ + phase_.budget_ms) {
    budget_reached_ = true;
    begin_stop(now);
  }
}

void PhaseRun::begin_stop(std::int64_t now) {
  if (grace_ends_ms_ > 0) return;
  tree_->signal_leader(phase_.stop_signal);
  grace_ends_ms_ = now + phase_.grace_ms;
}

// The first reason stays: what follows from it (the kill) is not another.
void PhaseRun::fail(Cause cause, std::string detail) {
  if (!failure_) failure_ = EndReason{cause, std::move(detail)};
  over_ = true;
}

void PhaseRun::read(Stream& stream, bool to_the_end) {
  static char bytes[256 * 1024];  // one thread, one reader at a time
  std::int64_t left = to_the_end ? 16 * read_per_turn : read_per_turn;
  const auto use = [&](std::string_view line) {
    for (const auto& report : patterns_.match(line)) take(report);
  };
  while (stream.pipe && left > 0) {
    const ssize_t size = ::read(stream.pipe.get(), bytes, sizeof bytes);
    if (size < 0) return;
    if (size == 0) {
      stream.pipe.reset();
      return;
    }
    left -= size;
    const std::string_view part(bytes, static_cast<std::size_t>(size));
    stream.log.append(part);
    if (&stream == &out_ && patterns_.any()) stream.lines.append(part, use);
  }
}

void PhaseRun::take(const Report& report) {
  attempt_.metrics.note(phase_.phase, report);
  if (!report.value || (sent_.size() >= metrics_per_attempt_max && !sent_.contains(report.name))) return;
  Sent& sent = sent_[report.name];
  const std::int64_t second = monotonic_ms() / 1000;
  if (sent.second != second) sent = {second, 0};
  if (++sent.count > metric_messages_per_second) return;
  attempt_.channel.send(MetricSeen{report.name, *report.value, report.step, phase_.phase}, true);
}

void PhaseRun::kill_tree() {
  if (!tree_) return;
  if (gpus_) gpus_->ask();
  killed_ = tree_->kill(gpus_ ? gpus_->pid() : 0);
  read(out_, true);
  read(err_, true);
  out_.lines.finish([&](std::string_view line) {
    for (const auto& report : patterns_.match(line)) take(report);
  });
  attempt_.metrics_file.finish([&](std::string_view line) {
    const auto report = report_from_line(line);
    if (report) take(*report);
    if (!report) attempt_.metrics.note_bad_line();
  });
}

std::string PhaseRun::explain_status() const {
  const std::string in = " in " + std::string(name_of(phase_.phase));
  if (!leader_status_) return "the process tree was killed from outside" + in;
  if (WIFSIGNALED(*leader_status_)) {
    const int signal = WTERMSIG(*leader_status_);
    return "killed by signal " + std::to_string(signal) + " (" + ::strsignal(signal) + ")" + in;
  }
  return "exit status " + std::to_string(WEXITSTATUS(*leader_status_)) + in;
}

// Why the phase failed, if the keeper did not end it for a reason of its own.
std::optional<EndReason> PhaseRun::judge_end() {
  if (failure_ || budget_reached_) return failure_;
  if (leader_status_ && WIFEXITED(*leader_status_) && WEXITSTATUS(*leader_status_) == 0) return std::nullopt;
  const bool killed = !leader_status_ || (WIFSIGNALED(*leader_status_) && WTERMSIG(*leader_status_) == SIGKILL);
  if (auto reason = attempt_.limits.look_back(killed)) return reason;
  if (leader_status_ && WIFSIGNALED(*leader_status_) && WTERMSIG(*leader_status_) == SIGXFSZ) {
    return EndReason{Cause::out_of_disk, "a file was to grow beyond attempt.disk"};
  }
  return EndReason{Cause::crash, explain_status()};
}

PhaseEnd PhaseRun::finish() {
  kill_tree();
  PhaseEnd end;
  end.failure = judge_end();
  end.survivors = killed_.survivors;
  if (kill_decided_ && tree_) end.killed_in_ms = killed_.took_ms;
  out_.log.finish();
  err_.log.finish();
  PhaseReceipt& receipt = end.receipt;
  receipt.phase = phase_.phase;
  receipt.started_unix_ms = started_unix_ms_;
  receipt.took_ms = monotonic_ms() - started_ms_;
  receipt.budget_reached = budget_reached_;
  if (leader_status_ && WIFEXITED(*leader_status_)) receipt.exit_status = WEXITSTATUS(*leader_status_);
  if (leader_status_ && WIFSIGNALED(*leader_status_)) receipt.signal = WTERMSIG(*leader_status_);
  if (!leader_status_ && kill_decided_) receipt.signal = SIGKILL;
  receipt.cpu_ms = tree_ ? tree_->cpu_ms() : 0;
  receipt.memory_peak_bytes = std::max(attempt_.limits.memory_peak_bytes(), tree_ ? tree_->largest_rss_bytes() : 0);
  if (gpus_) receipt.gpus = gpus_->finish();
  receipt.log_kept_bytes = out_.log.kept_bytes() + err_.log.kept_bytes();
  receipt.log_dropped_bytes = out_.log.dropped_bytes() + err_.log.dropped_bytes();
  const std::string err = err_.log.tail();
  const std::string out = out_.log.tail();
  end.log_tail = readable_tail(err, out.empty() ? log_tail_bytes_max : log_tail_bytes_max * 3 / 4);
  if (!out.empty())
    end.log_tail = readable_tail(out, log_tail_bytes_max - end.log_tail.size() - 1) +
                   (end.log_tail.empty() ? "" : "\n") + end.log_tail;
  if (end.log_tail.size() > log_tail_bytes_max) end.log_tail = readable_tail(end.log_tail, log_tail_bytes_max);
  return end;
}

}  // namespace overnight::workers
