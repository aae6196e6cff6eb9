// The API of a running orchestrator: HTTP over a unix socket in the home (mode 0600: who may open it may command). A
// resource on the loop's thread.
//
// It knows the form of requests, not their meaning: `answer` maps a request to a reply. GET never changes anything.
// Hostile peers are expected: every request is bounded in size and time, and the number of connections is bounded, so
// that a halt still gets through while others dawdle.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "budgets/result.h"

namespace boost::asio {
class io_context;
}

namespace overnight::server {

struct ControlRequest {
  std::string method;      // "GET" or "POST"
  std::string path;        // "/v1/halt"
  std::string body;        // at most request_bytes_max
  std::int64_t user = -1;  // of the process at the other end, as the kernel says; -1: unknown
};

struct ControlReply {
  int status = 200;
  std::string body;  // JSON
};

inline constexpr std::size_t request_bytes_max = 4 * 1024 * 1024;  // an enqueue of ten thousand proposals fits
inline constexpr int connections_max = 64;                         // for one more, the oldest is cut off
inline constexpr int request_seconds_max = 10;                     // a slow peer is cut off

class ControlServer {
 public:
  using Answer = std::function<ControlReply(const ControlRequest&)>;

  // Replaces a socket that a dead orchestrator left behind (the caller holds the home's lock).
  static budgets::Result<std::unique_ptr<ControlServer>, std::string> listen(boost::asio::io_context& io,
                                                                             const std::filesystem::path& socket,
                                                                             Answer answer);
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;
  ~ControlServer();  // removes the socket

 private:
  struct Impl;
  explicit ControlServer(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace overnight::server
