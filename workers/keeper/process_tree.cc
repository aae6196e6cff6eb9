#include "workers/keeper/process_tree.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "workers/keeper/clock.h"
#include "workers/keeper/descendants.h"

namespace overnight::workers {
namespace {

void send_signal(const Descriptor& process, int signal) {
  ::syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0);
}

// True once the process behind the pidfd has ended. For the init of a PID namespace that is after everything in it.
bool wait_for_end(const Descriptor& process, std::int64_t deadline_ms) {
  pollfd end{process.get(), POLLIN, 0};
  while (true) {
    const std::int64_t left = std::max<std::int64_t>(0, deadline_ms - monotonic_ms());
    const int ready = ::poll(&end, 1, static_cast<int>(left));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

bool has_ended(const Descriptor& process) { return wait_for_end(process, 0); }

}  // namespace

budgets::Result<ProcessTree, std::string> ProcessTree::prepare(const Containment& containment,
                                                               const AttemptGroups& groups) {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    return budgets::unexpected("no socket for the phase: " + std::string(std::strerror(errno)));
  }
  Descriptor ours(pair[0]);
  Descriptor theirs(pair[1]);
  const int on = 1;
  ::setsockopt(ours.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  auto text = SharedText::make();
  if (!text) return budgets::unexpected(text.error());
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // if the warden is killed, its orphans come to us
  const unsigned uid = ::geteuid();
  const unsigned gid = ::getegid();
  int pidfd = -1;
  const pid_t warden = fork_with(clone_flags_for(containment), &pidfd);
  if (warden < 0) return budgets::unexpected("cannot fork: " + std::string(std::strerror(errno)));
  if (warden == 0) run_warden(containment, *text, theirs.get(), groups.entries(), uid, gid);
  return ProcessTree(warden, Descriptor(pidfd), std::move(ours), containment.mechanism, std::move(*text), groups);
}

bool ProcessTree::start(const LeaderSpec& spec, const LeaderDescriptors& descriptors) {
  if (has_ended(end_)) return false;  // what it forked ahead may still hold the other end of the channel
  const int given[] = {descriptors.out, descriptors.err};
  return text_.put(to_bytes(spec)) && send_note(channel_.get(), {WardenNote::Kind::go, 0}, given);
}

ProcessTree::~ProcessTree() {
  if (end_) kill();
}

std::optional<TreeEvent> ProcessTree::next_event() {
  WardenNote note;
  iovec part{&note, sizeof note};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t size = ::recvmsg(channel_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size != sizeof note) {
    if (!has_ended(end_) || std::exchange(end_told_, true)) return std::nullopt;
    return TreeEvent{TreeEvent::Kind::warden_ended, 0};
  }
  switch (note.kind) {
    case WardenNote::Kind::leader_starts: {
      ucred sender{};
      for (cmsghdr* part_of = CMSG_FIRSTHDR(&message); part_of; part_of = CMSG_NXTHDR(&message, part_of)) {
        if (part_of->cmsg_type == SCM_CREDENTIALS) std::memcpy(&sender, CMSG_DATA(part_of), sizeof sender);
      }
      return TreeEvent{TreeEvent::Kind::leader_started, sender.pid};
    }
    case WardenNote::Kind::group_refused:
      return TreeEvent{TreeEvent::Kind::group_refused, note.value};
    case WardenNote::Kind::view_refused:
      return TreeEvent{TreeEvent::Kind::view_refused, note.value};
    case WardenNote::Kind::all_ended:
      return TreeEvent{TreeEvent::Kind::all_ended, 0};
    case WardenNote::Kind::exec_failed:
      return TreeEvent{TreeEvent::Kind::exec_failed, note.value};
    case WardenNote::Kind::leader_ended:
      return TreeEvent{TreeEvent::Kind::leader_ended, note.value};
    case WardenNote::Kind::go:
    case WardenNote::Kind::signal:
      break;
  }
  return std::nullopt;
}

void ProcessTree::signal_leader(int signal) {
  const WardenNote note{WardenNote::Kind::signal, signal};
  (void)!::send(channel_.get(), &note, sizeof note, MSG_NOSIGNAL | MSG_DONTWAIT);
}

KillOutcome ProcessTree::kill(pid_t spared) {
  if (gone_) return {};
  const std::int64_t from = monotonic_ms();
  const std::int64_t deadline = from + kill_wait_ms;
  KillOutcome outcome;
  if (mechanism_ == KillMechanism::pid_namespace) {
    send_signal(end_, SIGKILL);
    if (!wait_for_end(end_, deadline)) {
      for (const auto& process : descendants_of(::getpid()))
        outcome.survivors += process.state != 'Z' && process.pid != spared;
    }
  } else {
    groups_->kill_all();
    outcome.survivors = kill_descendants(::getpid(), deadline, spared).survivors;
  }
  reap_children(cpu_ms_, largest_rss_bytes_);
  gone_ = outcome.survivors == 0;
  outcome.took_ms = monotonic_ms() - from;
  return outcome;
}

}  // namespace overnight::workers
