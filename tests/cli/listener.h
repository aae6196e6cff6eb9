// An HTTP server of a few lines on 127.0.0.1, with a script: what it answers to the first request, the second, ...
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace overnight {

class Listener {
 public:
  // Each answer is a status ("200 OK"), or empty: the connection is closed without one.
  explicit Listener(std::vector<std::string> answers) : answers_(std::move(answers)) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(socket_, reinterpret_cast<sockaddr*>(&address), size) == 0 && listen(socket_, 16) == 0 &&
        getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0)
      port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~Listener() {
    shutdown(socket_, SHUT_RDWR);
    thread_.join();
    close(socket_);
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  std::string url(const std::string& path) const { return "http://127.0.0.1:" + std::to_string(port_) + path; }
  // Heads and bodies of what came so far.
  std::vector<std::string> requests() {
    const std::lock_guard<std::mutex> guard(mutex_);
    return requests_;
  }

 private:
  void serve() {
    for (std::size_t i = 0;; ++i) {
      const int peer = accept(socket_, nullptr, nullptr);
      if (peer < 0) return;
      const std::string request = read_request(peer);
      {
        const std::lock_guard<std::mutex> guard(mutex_);
        requests_.push_back(request);
      }
      const std::string answer = answers_.empty() ? "200 OK" : answers_[std::min(i, answers_.size() - 1)];
      const std::string bytes = "HTTP/1.1 " + answer + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
      if (!answer.empty()) (void)!send(peer, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      close(peer);
    }
  }

  static std::string read_request(int peer) {
    std::string text;
    char chunk[65536];
    while (true) {
      const auto head = text.find("\r\n\r\n");
      if (head != std::string::npos) {
        const auto length = text.find("Content-Length: ");
        const std::size_t body = length == std::string::npos ? 0 : std::stoul(text.substr(length + 16));
        if (text.size() >= head + 4 + body) return text;
      }
      const ssize_t n = recv(peer, chunk, sizeof chunk, 0);
      if (n <= 0) return text;
      text.append(chunk, static_cast<std::size_t>(n));
    }
  }

  std::vector<std::string> answers_;
  int socket_ = -1;
  int port_ = 0;
  std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

}  // namespace overnight
