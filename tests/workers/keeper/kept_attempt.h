// One attempt kept by the real overnight-worker, from an order file to its receipt. The test plays the orchestrator: it
// holds the other end of the control channel and is the subreaper to whom everything comes that escapes the keeper, so
// "nothing is left" is what the kernel says, whatever names or environments the tasks gave themselves.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "workers/keeper/descriptor.h"
#include "workers/protocol/message.h"
#include "workers/protocol/order.h"
#include "workers/protocol/receipt.h"

namespace overnight::workers {

// A fresh folder, removed at the end whatever a task made of it.
class Folder {
 public:
  explicit Folder(const std::filesystem::path& where = std::filesystem::temp_directory_path());
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::string write(const std::string& name, const std::string& text) const;  // returns the path
  std::string read(const std::string& name) const;

 private:
  std::filesystem::path path_;
};

PhaseOrder shell_phase(Phase phase, const std::string& script);  // with the metric "loss" over its stdout

struct Kept {
  std::optional<Receipt> receipt;
  int wait_status = 0;          // of the keeper
  std::int64_t took_ms = 0;     // from the start of the keeper to its end, as the test saw it
  std::int64_t gone_in_ms = 0;  // and from then until nothing was left
  int left = 0;                 // processes that were still there after that: 0 is what is promised
};

class KeptAttempt {
 public:
  explicit KeptAttempt(const std::string& train_script, const std::string& evaluate_script = {});
  ~KeptAttempt();
  KeptAttempt(const KeptAttempt&) = delete;
  KeptAttempt& operator=(const KeptAttempt&) = delete;

  Order order;                           // to be changed before `start`
  std::string mechanism;                 // "namespace", "cgroup", "subreaper"; empty: the strongest there is
  std::vector<std::string> environment;  // NAME=value, beside PATH and HOME

  std::filesystem::path folder() const { return order.directory; }
  std::string log(const std::string& name) const;  // "train.stdout"

  void start();
  void grant(std::int64_t lease_ms);
  void stop(StopLevel level, const std::string& reason);
  void close_channel();  // as if the orchestrator had died
  pid_t keeper() const { return pid_; }
  // Reads messages until one fits; fails the test if the keeper ends or a minute passes before.
  bool hears(const std::function<bool(const Message&)>& fits);
  bool hears_metric(const std::string& name);
  // Reads to the end of the keeper and waits until nothing is left of its tree.
  Kept finish();
  Kept run();  // start, grant, finish

 private:
  bool read_some(std::chrono::steady_clock::time_point until);

  Folder place_;
  pid_t pid_ = -1;
  Descriptor pidfd_;
  Descriptor channel_;
  std::string open_;
  std::vector<Message> heard_;
  std::size_t looked_at_ = 0;
  std::int64_t sequence_ = 0;
  std::int64_t started_ms_ = 0;
};

std::string worker_program();
// What the worker's probe says of this machine when it is forced down to a mechanism.
std::string mechanism_in_force(const std::string& forced);

}  // namespace overnight::workers
