// overnight-worker --standby PLACEHOLDER, with the control channel on descriptor 3: keeps one attempt, whose order it
// is told there (protocol/standby.h). Exit status 0: a receipt was written, or there was no order. `--probe` prints
// what this machine lets a keeper do; `--tidy FOLDER` removes what an attempt that is over left beside its records and
// artifacts.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "workers/keeper/clock.h"
#include "workers/keeper/folders.h"
#include "workers/keeper/keeper.h"
#include "workers/keeper/standby.h"
#include "workers/keeper/take_mark.h"
#include "workers/keeper/tidy.h"
#include "workers/keeper/warden.h"
#include "workers/protocol/standby.h"

namespace overnight::workers {
namespace {

constexpr int control_descriptor = 3;
constexpr std::int64_t farewell_ms = 1000;  // how long the orchestrator may take to read that we have ended

// What is the same for every order: done before there is one.
struct Ready {
  explicit Ready(KeeperSettings known)
      : settings(std::move(known)),
        groups(settings.containment.cgroups, group_name(::getpid()),
               settings.containment.mechanism == KillMechanism::cgroup) {
    remove_left_groups(settings.containment.cgroups);
    // If this fails now it is tried again, and told, when there is an order.
    if (auto prepared = ProcessTree::prepare(settings.containment, groups)) tree.emplace(std::move(*prepared));
  }

  KeeperSettings settings;
  AttemptGroups groups;
  std::optional<ProcessTree> tree;  // goes before its groups do
};

std::string forced_mechanism() {
  const char* forced = std::getenv("OVERNIGHT_KILL_MECHANISM");
  return forced ? forced : "";
}

// What the orchestrator probed for all its keepers, or what we find ourselves.
Containment containment() {
  const char* told = std::getenv("OVERNIGHT_CONTAINMENT");
  if (told && forced_mechanism().empty()) {
    if (const auto known = containment_from_json(told)) return *known;
  }
  return probe_capabilities(forced_mechanism());
}

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string own_folder() {
  char path[4096];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  return size > 0 ? folder_of(std::string(path, static_cast<std::size_t>(size))) : "/usr/bin";
}

// A terminal's Ctrl-C and its loss are the orchestrator's to interpret; SIGTERM is read from a descriptor (assent.h).
void leave_the_terminal() {
  ::setsid();
  ::syscall(SYS_close_range, 4U, ~0U, 0);  // what leaked into us from the orchestrator
  take_mark();
  for (int signal = 1; signal < NSIG; ++signal) std::signal(signal, SIG_DFL);
  for (const int signal : ignored_by_keepers) std::signal(signal, SIG_IGN);
}

budgets::Result<Order, std::string> read_order(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!file) return budgets::unexpected(path + " cannot be opened");
  const auto text = read_whole(file.get(), order_bytes_max);
  if (!text) return budgets::unexpected(path + " " + text.error());
  auto order = order_from_json(*text);
  if (!order) return budgets::unexpected("in " + path + ": " + order.error().explain);
  return std::move(*order);
}

int write_receipt(const AttemptFolder& folder, const Receipt& receipt) {
  const auto written = folder.write_receipt(to_json(receipt));
  if (!written) std::fprintf(stderr, "overnight-worker: %s\n", written.error().c_str());
  return written ? 0 : 1;
}

// Where the orchestrator looks for the receipt, even if the task moved or removed the folder.
int write_receipt_at(const std::string& path, const AttemptFolder& folder, Receipt receipt) {
  if (folder.is_at(path)) return write_receipt(folder, receipt);
  remove_tree(AT_FDCWD, path.c_str());
  ::mkdir(path.c_str(), 0755);
  const auto anew = AttemptFolder::open(path);
  if (!anew) return write_receipt(folder, receipt);
  receipt.detail += receipt.detail.empty() ? "" : "; ";
  receipt.detail += "the task moved or removed the attempt's folder";
  return write_receipt(*anew, receipt);
}

// The order could not be read: the receipt goes where the order lies.
int refuse(const std::string& order_path, const std::string& why) {
  std::fprintf(stderr, "overnight-worker: %s\n", why.c_str());
  const auto folder = AttemptFolder::open(folder_of(order_path));
  return folder ? write_receipt(*folder, receipt_for(Order{}, Cause::infrastructure, why)) : 1;
}

Receipt kept(const Order& order, const AttemptFolder& folder, Channel& channel, Ready& ready) {
  try {
    return keep(order, folder, channel, ready.settings, ready.groups, std::move(ready.tree));
  } catch (const std::exception& error) {  // bad_alloc, and what a library throws: the attempt's end, not ours
    return receipt_for(order, Cause::infrastructure, std::string("the keeper failed: ") + error.what());
  }
}

KeeperSettings become_keeper() {
  leave_the_terminal();
  Containment contained = containment();  // reads the environment, which is taken away here
  KeeperSettings settings{std::move(contained), InheritedEnvironment::take(), own_folder()};
  ::prctl(PR_SET_DUMPABLE, 0);  // tasks of the same user must neither trace the keeper nor read its memory
  ::fcntl(control_descriptor, F_SETFD, FD_CLOEXEC);
  return settings;
}

int run(const std::string& order_path, Ready& ready) {
  const auto order = read_order(order_path);
  if (!order) return refuse(order_path, order.error());
  const auto folder = AttemptFolder::open(order->directory);
  if (!folder) return refuse(order_path, folder.error());
  struct stat status {};
  if (::fstat(control_descriptor, &status) != 0 || !S_ISSOCK(status.st_mode)) {
    return write_receipt(*folder, receipt_for(*order, Cause::infrastructure, "descriptor 3 is not the control socket"));
  }
  Channel channel(Descriptor(control_descriptor), order->attempt, order->nonce);
  const Receipt receipt = kept(*order, *folder, channel, ready);
  const int status_of_receipt = write_receipt_at(order->directory, *folder, receipt);
  if (status_of_receipt == 0) channel.send(Ended{receipt.cause});
  channel.flush_until(monotonic_ms() + farewell_ms);
  return status_of_receipt;
}

// Where a person looks when something goes wrong before there is a receipt.
void write_to_log_beside(const std::string& order_path) {
  const Descriptor log(::open((folder_of(order_path) + "/keeper.log").c_str(),
                              O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!log) return;
  ::dup2(log.get(), STDOUT_FILENO);
  ::dup2(log.get(), STDERR_FILENO);
}

int stand_by(char** argv) {
  remember_arguments(argv);
  // What is asked of us before we have an order is answered as soon as we have one (assent.h), with a receipt.
  sigset_t asked;
  sigemptyset(&asked);
  for (const int signal : {SIGTERM, SIGQUIT}) sigaddset(&asked, signal);
  ::sigprocmask(SIG_BLOCK, &asked, nullptr);
  Ready ready(become_keeper());
  const auto order_path = await_order_path(control_descriptor);
  if (!order_path) return 0;
  show_as_argument(*order_path);
  write_to_log_beside(*order_path);
  return run(*order_path, ready);
}

}  // namespace
}  // namespace overnight::workers

int main(int argc, char** argv) {
  using namespace overnight::workers;
  const std::string verb = argc > 1 ? argv[1] : "";
  if (argc == 2 && verb == "--probe") {
    std::printf("%s\n", to_json(probe_capabilities(forced_mechanism())).c_str());
    return 0;
  }
  if (argc == 3 && verb == standby_verb) return stand_by(argv);
  if (argc == 3 && verb == "--tidy") return tidy(argv[2]) ? 0 : 1;
  std::fprintf(stderr,
               "usage: overnight-worker --standby PLACEHOLDER (control socket on descriptor 3)\n"
               "       overnight-worker --probe\n"
               "       overnight-worker --tidy FOLDER (of an attempt that is over)\n");
  return 2;
}
