#include "workers/keeper/assent.h"

#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <csignal>

namespace overnight::workers {

Assent::Assent(Channel& channel, std::int64_t lease_ms)
    : channel_(channel), lease_ms_(lease_ms), timer_(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK)) {
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  sigaddset(&term, SIGQUIT);
  ::sigprocmask(SIG_BLOCK, &term, nullptr);
  signals_.reset(::signalfd(-1, &term, SFD_CLOEXEC | SFD_NONBLOCK));
  arm(std::max(lease_ms_, first_lease_wait_ms));
}

void Assent::add_to(std::vector<pollfd>& waiting) const {
  const bool writes = channel_.wants_to_write();
  if (!channel_.at_end()) waiting.push_back({channel_.fd(), static_cast<short>(writes ? POLLIN | POLLOUT : POLLIN), 0});
  waiting.push_back({timer_.get(), POLLIN, 0});
  waiting.push_back({signals_.get(), POLLIN, 0});
}

void Assent::look() {
  channel_.flush();
  for (const auto& message : channel_.receive()) take(message);
  if (channel_.at_end()) {
    raise({StopLevel::kill, Cause::lease_lost, "the orchestrator is gone (its end of the control channel closed)"});
  }
  signalfd_siginfo info;
  if (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGQUIT) {  // `overnight halt --offline`: no orchestrator is needed to stop
      raise({StopLevel::kill, Cause::stopped, "the keeper was told to kill by SIGQUIT"});
    } else {
      raise({StopLevel::drain, Cause::stopped, "the keeper was asked to stop by SIGTERM"});
    }
  }
  std::uint64_t ends = 0;
  if (::read(timer_.get(), &ends, sizeof ends) == sizeof ends) {
    raise({StopLevel::kill, Cause::lease_lost,
           granted_ ? "the lease ran out and was not renewed" : "no lease was granted"});
  }
}

void Assent::take(const Message& message) {
  if (const auto* grant = std::get_if<GrantLease>(&message.body)) {
    granted_ = true;
    arm(grant->lease_ms > 0 ? grant->lease_ms : lease_ms_);
  } else if (const auto* stop = std::get_if<Stop>(&message.body)) {
    raise({stop->level, Cause::stopped, stop->reason.substr(0, 512)});
  }
}

void Assent::arm(std::int64_t ms) {
  itimerspec when{};
  when.it_value.tv_sec = ms / 1000;
  when.it_value.tv_nsec = ms % 1000 * 1000000;
  ::timerfd_settime(timer_.get(), 0, &when, nullptr);
}

void Assent::raise(Demand demand) {
  if (!demand_ || (demand_->level == StopLevel::drain && demand.level == StopLevel::kill)) demand_ = std::move(demand);
}

}  // namespace overnight::workers
