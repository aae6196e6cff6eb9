// overnight-worker ORDER_JSON_PATH, with the control channel on descriptor 3: keeps one attempt. Exit status 0: a
// receipt was written. `overnight-worker --probe` prints what this machine lets a keeper do.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "workers/keeper/clock.h"
#include "workers/keeper/environment.h"
#include "workers/keeper/keeper.h"

namespace overnight::workers {
namespace {

constexpr int control_descriptor = 3;
constexpr std::int64_t farewell_ms = 1000;  // how long the orchestrator may take to read that we have ended

std::string forced_mechanism() {
  const char* forced = std::getenv("OVERNIGHT_KILL_MECHANISM");
  return forced ? forced : "";
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
  for (const int signal : {SIGINT, SIGHUP, SIGPIPE, SIGXFSZ}) std::signal(signal, SIG_IGN);
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
  const auto written = folder.write_durably("receipt.json", to_json(receipt));
  if (!written) std::fprintf(stderr, "overnight-worker: %s\n", written.error().c_str());
  return written ? 0 : 1;
}

// The order could not be read: the receipt goes where the order lies.
int refuse(const std::string& order_path, const std::string& why) {
  std::fprintf(stderr, "overnight-worker: %s\n", why.c_str());
  const auto folder = AttemptFolder::open(folder_of(order_path));
  return folder ? write_receipt(*folder, receipt_for(Order{}, Cause::infrastructure, why)) : 1;
}

Receipt kept(const Order& order, const AttemptFolder& folder, Channel& channel) {
  try {
    return keep(order, folder, channel, {probe_capabilities(forced_mechanism()), own_environment(), own_folder()});
  } catch (const std::exception& error) {  // bad_alloc, and what a library throws: the attempt's end, not ours
    return receipt_for(order, Cause::infrastructure, std::string("the keeper failed: ") + error.what());
  }
}

int run(const std::string& order_path) {
  leave_the_terminal();
  const auto order = read_order(order_path);
  if (!order) return refuse(order_path, order.error());
  const auto folder = AttemptFolder::open(order->directory);
  if (!folder) return refuse(order_path, folder.error());
  struct stat status {};
  if (::fstat(control_descriptor, &status) != 0 || !S_ISSOCK(status.st_mode)) {
    return write_receipt(*folder, receipt_for(*order, Cause::infrastructure, "descriptor 3 is not the control socket"));
  }
  ::fcntl(control_descriptor, F_SETFD, FD_CLOEXEC);
  Channel channel(Descriptor(control_descriptor), order->attempt, order->nonce);
  const Receipt receipt = kept(*order, *folder, channel);
  const int status_of_receipt = write_receipt(*folder, receipt);
  if (status_of_receipt == 0) channel.send(Ended{receipt.cause});
  channel.flush_until(monotonic_ms() + farewell_ms);
  return status_of_receipt;
}

}  // namespace
}  // namespace overnight::workers

int main(int argc, char** argv) {
  using namespace overnight::workers;
  const std::string argument = argc == 2 ? argv[1] : "";
  if (argument == "--probe") {
    std::printf("%s\n", to_json(probe_capabilities(forced_mechanism())).c_str());
    return 0;
  }
  if (argument.empty() || argument.starts_with('-')) {
    std::fprintf(stderr,
                 "usage: overnight-worker ORDER.json (control socket on descriptor 3) | overnight-worker --probe\n");
    return 2;
  }
  return run(argument);
}
