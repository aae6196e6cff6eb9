#include "orchestrator/server/control_server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

namespace overnight::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Stream = beast::basic_stream<asio::local::stream_protocol>;
using boost::system::error_code;

// One connection: one request, one reply, closed.
struct Connection : std::enable_shared_from_this<Connection> {
  Stream stream;
  beast::flat_buffer buffer;
  http::request_parser<http::string_body> parser;
  http::response<http::string_body> response;
  ControlServer::Answer answer;
  std::shared_ptr<int> open;

  Connection(asio::local::stream_protocol::socket socket, ControlServer::Answer answer_, std::shared_ptr<int> open_)
      : stream(std::move(socket)), answer(std::move(answer_)), open(std::move(open_)) {
    ++*open;
    parser.body_limit(request_bytes_max);
  }
  ~Connection() { --*open; }

  void begin() {
    stream.expires_after(std::chrono::seconds(request_seconds_max));
    http::async_read(stream, buffer, parser, [self = shared_from_this()](error_code error, std::size_t) {
      if (!error) {
        self->reply();
      } else if (error == http::error::body_limit) {
        self->send({413, R"({"error":"the request is too large"})"});
      }
    });
  }

  void reply() {
    const auto& request = parser.get();
    send(answer({std::string(request.method_string()), std::string(request.target()), request.body()}));
  }

  void send(ControlReply made) {
    response.version(11);
    response.result(static_cast<unsigned>(made.status));
    response.set(http::field::content_type, "application/json");
    response.keep_alive(false);
    response.body() = std::move(made.body);
    response.prepare_payload();
    http::async_write(stream, response, [self = shared_from_this()](error_code, std::size_t) {
      error_code ignored;
      self->stream.socket().shutdown(asio::local::stream_protocol::socket::shutdown_send, ignored);
    });
  }
};

}  // namespace

struct ControlServer::Impl : std::enable_shared_from_this<Impl> {
  asio::local::stream_protocol::acceptor acceptor;
  std::filesystem::path socket;
  Answer answer;
  std::shared_ptr<int> open = std::make_shared<int>(0);

  Impl(asio::io_context& io, std::filesystem::path socket_, Answer answer_)
      : acceptor(io), socket(std::move(socket_)), answer(std::move(answer_)) {}

  void accept_next() {
    acceptor.async_accept([self = shared_from_this()](error_code error, asio::local::stream_protocol::socket peer) {
      if (error) return;
      if (*self->open < connections_max)
        std::make_shared<Connection>(std::move(peer), self->answer, self->open)->begin();
      self->accept_next();
    });
  }
};

budgets::Result<std::unique_ptr<ControlServer>, std::string> ControlServer::listen(asio::io_context& io,
                                                                                   const std::filesystem::path& socket,
                                                                                   Answer answer) {
  // sun_path holds 108 bytes; a deep home is reached through a short name in /proc instead of being refused.
  if (socket.string().size() >= 108)
    return budgets::unexpected(
        socket.string() +
        ": the path is too long for a unix socket (at most 107 bytes); use a home with a shorter path");
  auto impl = std::make_shared<Impl>(io, socket, std::move(answer));
  std::error_code ignored;
  std::filesystem::remove(socket, ignored);
  error_code error;
  const mode_t before = umask(0177);
  const asio::local::stream_protocol::endpoint endpoint(socket.string());
  impl->acceptor.open(endpoint.protocol(), error);
  if (!error) impl->acceptor.bind(endpoint, error);
  if (!error) impl->acceptor.listen(connections_max, error);
  umask(before);
  if (error) return budgets::unexpected(socket.string() + ": cannot listen: " + error.message());
  impl->accept_next();
  return std::unique_ptr<ControlServer>(new ControlServer(std::move(impl)));
}

ControlServer::ControlServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

ControlServer::~ControlServer() {
  error_code ignored;
  impl_->acceptor.close(ignored);
  std::error_code also_ignored;
  std::filesystem::remove(impl_->socket, also_ignored);
}

}  // namespace overnight::server
