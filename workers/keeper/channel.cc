#include "workers/keeper/channel.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "workers/keeper/clock.h"

namespace overnight::workers {

Channel::Channel(Descriptor socket, std::int64_t attempt, std::string nonce)
    : socket_(std::move(socket)), attempt_(attempt), nonce_(std::move(nonce)) {}

std::vector<Message> Channel::receive() {
  std::vector<Message> messages;
  char bytes[message_bytes_max];
  while (!at_end_) {
    const ssize_t size = ::recv(socket_.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) {
      at_end_ = true;
      break;
    }
    open_.append(bytes, static_cast<std::size_t>(size));
    for (auto end = open_.find('\n'); end != std::string::npos; end = open_.find('\n')) {
      if (auto message = accept(std::string_view(open_).substr(0, end))) messages.push_back(std::move(*message));
      open_.erase(0, end + 1);
    }
    if (open_.size() > message_bytes_max) open_.clear();
  }
  return messages;
}

std::optional<Message> Channel::accept(std::string_view line) {
  auto message = message_from_json(line);
  if (!message || message->attempt != attempt_ || message->nonce != nonce_) return std::nullopt;
  if (message->sequence <= last_heard_) return std::nullopt;
  last_heard_ = message->sequence;
  return std::move(*message);
}

void Channel::queue(const Message& message, bool may_drop) {
  if (at_end_ || (may_drop && waiting_.size() >= messages_waiting_max)) return;
  waiting_.push_back(to_json_line(message));
  flush();
}

void Channel::flush() {
  while (!waiting_.empty()) {
    std::string& line = waiting_.front();
    const ssize_t size = ::send(socket_.get(), line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno != EAGAIN && errno != EWOULDBLOCK) at_end_ = true;
    if (at_end_) waiting_.clear();
    if (size < 0) return;
    line.erase(0, static_cast<std::size_t>(size));
    if (!line.empty()) return;
    waiting_.pop_front();
  }
}

void Channel::flush_until(std::int64_t deadline_ms) {
  flush();
  while (!waiting_.empty()) {
    const std::int64_t left = deadline_ms - monotonic_ms();
    pollfd room{socket_.get(), POLLOUT, 0};
    if (left <= 0 || ::poll(&room, 1, static_cast<int>(left)) <= 0) return;
    flush();
  }
}

}  // namespace overnight::workers
