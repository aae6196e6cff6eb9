#include "tests/fakes/http_server.h"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <condition_variable>
#include <list>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

namespace overnight::fakes {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;

constexpr auto saw_within = std::chrono::seconds(10);

SeenRequest seen_of(const http::request<http::string_body>& request) {
  SeenRequest seen;
  seen.method = std::string(request.method_string());
  seen.target = std::string(request.target());
  seen.body = request.body();
  for (const auto& field : request) {
    std::string name(field.name_string());
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    seen.headers[name] = std::string(field.value());
  }
  return seen;
}

std::string head_of(const ServerReply& reply) {
  std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " Scripted\r\n";
  head += "Content-Type: " + reply.content_type + "\r\nContent-Length: " + std::to_string(reply.body.size()) + "\r\n";
  for (const auto& [name, value] : reply.headers) head += name + ": " + value + "\r\n";
  return head + "\r\n";
}

}  // namespace

struct HttpServer::Impl {
  Script script;
  asio::io_context io;
  tcp::acceptor acceptor{io, tcp::endpoint(asio::ip::address_v4::loopback(), 0)};
  mutable std::mutex mutex;
  mutable std::condition_variable arrived;
  std::vector<SeenRequest> requests;
  std::list<tcp::socket> sockets;
  std::list<std::thread> threads;
  std::thread accepting;
  bool closing = false;

  void accept() {
    while (true) {
      boost::system::error_code failed;
      tcp::socket socket = acceptor.accept(failed);
      const std::lock_guard lock(mutex);
      if (failed || closing) return;
      sockets.push_back(std::move(socket));
      threads.emplace_back([this, &kept = sockets.back()] {
        serve(kept);
        ::shutdown(kept.native_handle(), SHUT_RDWR);
      });
    }
  }

  void serve(tcp::socket& socket) {
    boost::beast::flat_buffer buffer;
    while (true) {
      http::request_parser<http::string_body> parser;
      parser.body_limit(64u << 20);
      boost::system::error_code failed;
      http::read(socket, buffer, parser, failed);
      if (failed) return;
      const SeenRequest seen = seen_of(parser.get());
      std::size_t number = 0;
      {
        const std::lock_guard lock(mutex);
        number = requests.size();
        requests.push_back(seen);
      }
      arrived.notify_all();
      if (!answer(socket, script(seen, number))) return;
    }
  }

  // False: the connection is over.
  bool answer(tcp::socket& socket, const ServerReply& reply) {
    using Ending = ServerReply::Ending;
    if (reply.ending == Ending::drop) return false;
    const bool whole = reply.ending == Ending::whole || reply.ending == Ending::close;
    boost::system::error_code failed;
    if (reply.ending != Ending::mute)
      asio::write(socket, asio::buffer(head_of(reply) + reply.body.substr(0, reply.body.size() / (whole ? 1 : 2))),
                  failed);
    if (reply.ending == Ending::mute || reply.ending == Ending::stall) {
      char byte = 0;
      while (!failed) socket.read_some(asio::buffer(&byte, 1), failed);
    }
    return !failed && reply.ending == Ending::whole;
  }
};

HttpServer::HttpServer(Script script) : impl_(std::make_unique<Impl>()) {
  impl_->script = std::move(script);
  impl_->accepting = std::thread([this] { impl_->accept(); });
}

HttpServer::HttpServer(std::vector<ServerReply> replies)
    : HttpServer([replies = std::move(replies)](const SeenRequest&, std::size_t number) {
        return replies.at(std::min(number, replies.size() - 1));
      }) {}

HttpServer::~HttpServer() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->closing = true;
    for (tcp::socket& socket : impl_->sockets) ::shutdown(socket.native_handle(), SHUT_RDWR);
  }
  ::shutdown(impl_->acceptor.native_handle(), SHUT_RDWR);
  impl_->accepting.join();
  for (std::thread& thread : impl_->threads) thread.join();
}

std::string HttpServer::url() const {
  return "http://127.0.0.1:" + std::to_string(impl_->acceptor.local_endpoint().port());
}

std::vector<SeenRequest> HttpServer::requests() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->requests;
}

std::size_t HttpServer::connections() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->sockets.size();
}

bool HttpServer::saw(std::size_t requests) const {
  std::unique_lock lock(impl_->mutex);
  return impl_->arrived.wait_for(lock, saw_within, [&] { return impl_->requests.size() >= requests; });
}

std::string chat_body(const std::string& text, int prompt_tokens, int completion_tokens,
                      const std::string& finish_reason, const std::string& model) {
  nlohmann::json body = {
      {"id", "chatcmpl-1"}, {"object", "chat.completion"}, {"created", 1795403237}, {"model", model}};
  body["choices"] = nlohmann::json::array();
  body["choices"].push_back(
      {{"index", 0}, {"finish_reason", finish_reason}, {"message", {{"role", "assistant"}, {"content", text}}}});
  if (prompt_tokens >= 0)
    body["usage"] = {{"prompt_tokens", prompt_tokens},
                     {"completion_tokens", completion_tokens},
                     {"total_tokens", prompt_tokens + completion_tokens}};
  return body.dump();
}

}  // namespace overnight::fakes
