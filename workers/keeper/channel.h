// The control channel to the orchestrator: lines of JSON over a socket (stream or seqpacket), never blocking. Owns the
// descriptor. What the orchestrator does not read in time is dropped if it is a metric, kept if it tells of a phase or
// the end (those are few). Repeated, stale and foreign messages are ignored.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "workers/keeper/descriptor.h"
#include "workers/protocol/message.h"

namespace overnight::workers {

inline constexpr std::size_t messages_waiting_max = 256;  // beyond it metrics are dropped

class Channel {
 public:
  Channel(Descriptor socket, std::int64_t attempt, std::string nonce);

  int fd() const { return socket_.get(); }
  bool wants_to_write() const { return !waiting_.empty(); }
  bool at_end() const { return at_end_; }  // the orchestrator is gone

  std::vector<Message> receive();  // what has come, in order
  template <typename Body>
  void send(Body body, bool may_drop = false) {
    queue(Message{attempt_, nonce_, ++sequence_, std::move(body)}, may_drop);
  }
  void flush();                                // as much as goes without blocking
  void flush_until(std::int64_t deadline_ms);  // waits for the reader, but not longer

 private:
  void queue(const Message&, bool may_drop);
  std::optional<Message> accept(std::string_view line);

  Descriptor socket_;
  std::int64_t attempt_;
  std::string nonce_;
  std::int64_t sequence_ = 0;
  std::int64_t last_heard_ = -1;
  std::string open_;  // bytes of a line that is not complete
  std::deque<std::string> waiting_;
  bool at_end_ = false;
};

}  // namespace overnight::workers
