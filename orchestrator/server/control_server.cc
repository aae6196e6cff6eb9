#include "orchestrator/server/control_server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <list>

#include "orchestrator/server/socket_path.h"

namespace overnight::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Stream = beast::basic_stream<asio::local::stream_protocol>;
using boost::system::error_code;

constexpr auto accept_pause = std::chrono::milliseconds(100);  // after accept failed (out of descriptors), before again

std::int64_t peer_of(Stream& stream) {
  ucred peer{};
  socklen_t size = sizeof peer;
  const int fd = stream.socket().native_handle();
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? static_cast<std::int64_t>(peer.uid) : -1;
}

// One connection: one request, one reply, closed.
struct Connection : std::enable_shared_from_this<Connection> {
  Stream stream;
  beast::flat_buffer buffer;
  http::request_parser<http::string_body> parser;
  http::response<http::string_body> response;
  ControlServer::Answer answer;

  Connection(asio::local::stream_protocol::socket socket, ControlServer::Answer answer_)
      : stream(std::move(socket)), answer(std::move(answer_)) {
    parser.body_limit(request_bytes_max);
  }

  void begin() {
    stream.expires_after(std::chrono::seconds(request_seconds_max));
    http::async_read(stream, buffer, parser, [self = shared_from_this()](error_code error, std::size_t) {
      if (!error) {
        self->reply();
      } else if (error == http::error::body_limit) {
        self->send({413, R"({"error":"the request is too large"})"});
      } else if (error.category() == http::make_error_code(http::error::bad_version).category() &&
                 error != http::error::end_of_stream && error != http::error::partial_message) {
        self->send({400, R"({"error":"the request is no HTTP"})"});
      }
    });
  }

  void reply() {
    const auto& request = parser.get();
    try {
      send(answer(
          {std::string(request.method_string()), std::string(request.target()), request.body(), peer_of(stream)}));
    } catch (const std::exception&) {  // a request that answer did not foresee costs its author the answer, no more
      send({500, R"({"error":"the request could not be answered"})"});
    }
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
  asio::steady_timer pause;
  std::filesystem::path socket;
  Answer answer;
  std::list<std::weak_ptr<Connection>> open;  // oldest first

  Impl(asio::io_context& io, std::filesystem::path socket_, Answer answer_)
      : acceptor(io), pause(io), socket(std::move(socket_)), answer(std::move(answer_)) {}

  void accept_next() {
    acceptor.async_accept([self = shared_from_this()](error_code error, asio::local::stream_protocol::socket peer) {
      if (error == asio::error::operation_aborted || !self->acceptor.is_open()) return;
      if (error) return self->accept_later();
      self->make_room();
      auto connection = std::make_shared<Connection>(std::move(peer), self->answer);
      self->open.push_back(connection);
      connection->begin();
      self->accept_next();
    });
  }

  void accept_later() {
    pause.expires_after(accept_pause);
    pause.async_wait([self = shared_from_this()](error_code error) {
      if (!error && self->acceptor.is_open()) self->accept_next();
    });
  }

  // The newest gets in: it may be a halt. Who has been connected longest is cut off for it.
  void make_room() {
    open.remove_if([](const auto& connection) { return connection.expired(); });
    while (open.size() >= connections_max) {
      if (const auto oldest = open.front().lock()) oldest->stream.close();
      open.pop_front();
    }
  }
};

budgets::Result<std::unique_ptr<ControlServer>, std::string> ControlServer::listen(asio::io_context& io,
                                                                                   const std::filesystem::path& socket,
                                                                                   Answer answer) {
  auto impl = std::make_shared<Impl>(io, socket, std::move(answer));
  std::error_code ignored;
  std::filesystem::remove(socket, ignored);
  error_code error;
  const SocketPath path(socket);
  const mode_t before = umask(0177);
  try {
    const asio::local::stream_protocol::endpoint endpoint(path.name());
    impl->acceptor.open(endpoint.protocol(), error);
    if (!error) impl->acceptor.bind(endpoint, error);
    if (!error) impl->acceptor.listen(connections_max, error);
  } catch (const boost::system::system_error& refused) {  // a name that is too long, where /proc could not help
    error = refused.code();
  }
  umask(before);
  if (error) return budgets::unexpected(socket.string() + ": cannot listen: " + error.message());
  impl->accept_next();
  return std::unique_ptr<ControlServer>(new ControlServer(std::move(impl)));
}

ControlServer::ControlServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

ControlServer::~ControlServer() {
  error_code ignored;
  impl_->pause.cancel();
  impl_->acceptor.close(ignored);
  for (const auto& connection : impl_->open) {
    if (const auto open = connection.lock()) open->stream.close();
  }
  std::error_code also_ignored;
  std::filesystem::remove(impl_->socket, also_ignored);
}

}  // namespace overnight::server
