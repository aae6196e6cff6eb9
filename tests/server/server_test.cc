// The socket of a running orchestrator: for its owner alone, at any depth, and a halt gets through whatever others
// send.
#include "orchestrator/server/control_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <fstream>
#include <random>

#include "orchestrator/server/socket_path.h"

namespace overnight::server {
namespace {

namespace fs = std::filesystem;

constexpr int patience_ms = 20'000;  // fails a test; none waits for it

// A client that says what it likes, byte for byte.
class Peer {
 public:
  explicit Peer(const fs::path& socket) {
    const SocketPath path(socket);
    fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.name().copy(address.sun_path, sizeof address.sun_path - 1);
    connected_ = connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  ~Peer() { close(fd_); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  bool connected() const { return connected_; }
  // False: not all was taken.
  bool say(const std::string& bytes) const {
    return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  void finish() const { shutdown(fd_, SHUT_WR); }
  // What is there now; sets `over` at the end.
  std::string heard(bool& over) const {
    std::string text;
    char chunk[65536];
    while (true) {
      const ssize_t n = recv(fd_, chunk, sizeof chunk, 0);
      if (n > 0) {
        text.append(chunk, static_cast<std::size_t>(n));
        continue;
      }
      over = n == 0 || (errno != EAGAIN && errno != EINTR);
      return text;
    }
  }

 private:
  int fd_ = -1;
  bool connected_ = false;
};

class Server : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "overnight-server-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    socket_ = folder_ / "api.sock";
  }
  void TearDown() override {
    server_.reset();
    fs::remove_all(folder_);
  }
  void listen() {
    auto made = ControlServer::listen(io_, socket_, [this](const ControlRequest& request) {
      requests_.push_back(request);
      if (request.path == "/v1/throw") throw std::runtime_error("unforeseen");
      return ControlReply{200, "{\"heard\":" + std::to_string(request.body.size()) + "}"};
    });
    ASSERT_TRUE(made) << made.error();
    server_ = std::move(*made);
  }
  // Lets the server work until the peer has its whole answer.
  std::string answer_to(const Peer& peer) {
    std::string text;
    bool over = false;
    for (int waited = 0; !over && waited < patience_ms; waited += 10) {
      io_.run_one_for(std::chrono::milliseconds(10));
      io_.poll();
      text += peer.heard(over);
    }
    EXPECT_TRUE(over) << "no end of the answer";
    return text;
  }
  std::string ask(const std::string& bytes) {
    const Peer peer(socket_);
    EXPECT_TRUE(peer.connected());
    peer.say(bytes);
    return answer_to(peer);
  }
  static std::string post(const std::string& path, const std::string& body) {
    return "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           body;
  }

  boost::asio::io_context io_;
  fs::path folder_, socket_;
  std::unique_ptr<ControlServer> server_;
  std::vector<ControlRequest> requests_;
};

TEST_F(Server, AnswersARequestAndKnowsWhoAsked) {
  listen();
  const std::string answer = ask(post("/v1/halt", "{}"));
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer;
  EXPECT_NE(answer.find("{\"heard\":2}"), std::string::npos);
  ASSERT_EQ(requests_.size(), 1u);
  EXPECT_EQ(requests_[0].method, "POST");
  EXPECT_EQ(requests_[0].path, "/v1/halt");
  EXPECT_EQ(requests_[0].user, static_cast<std::int64_t>(getuid()));
}

TEST_F(Server, IsForItsOwnerAloneAndLeavesNoSocketBehind) {
  listen();
  struct stat found {};
  ASSERT_EQ(stat(socket_.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600u);
  server_.reset();
  EXPECT_FALSE(fs::exists(socket_));
}

TEST_F(Server, ReplacesASocketThatADeadOrchestratorLeft) {
  listen();
  const fs::path left = folder_ / "left.sock";
  fs::rename(socket_, left);  // as kill -9 leaves it
  server_.reset();
  fs::rename(left, socket_);
  EXPECT_FALSE(Peer(socket_).connected());
  listen();
  EXPECT_TRUE(ask(post("/v1/halt", "{}")).starts_with("HTTP/1.1 200"));
}

TEST_F(Server, ListensInAHomeThatIsDeeperThanTheKernelsNamesAre) {
  fs::path deep = folder_;
  while (deep.string().size() < 300) deep /= "a-rather-long-name-of-a-folder";
  fs::create_directories(deep);
  socket_ = deep / "api.sock";
  listen();
  EXPECT_TRUE(fs::exists(socket_));
  EXPECT_TRUE(ask(post("/v1/halt", "{}")).starts_with("HTTP/1.1 200"));
  server_.reset();
  EXPECT_FALSE(fs::exists(socket_));
}

TEST_F(Server, RefusesWhatIsTooLargeBeforeItIsSent) {
  listen();
  const std::string answer =
      ask("POST /v1/enqueue HTTP/1.1\r\nContent-Length: " + std::to_string(request_bytes_max + 1) + "\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 413")) << answer;
  EXPECT_TRUE(requests_.empty());
}

TEST_F(Server, TakesTheLargestRequestThatIsAllowed) {
  listen();
  const Peer peer(socket_);
  const std::string bytes = post("/v1/enqueue", std::string(request_bytes_max, ' '));
  std::string answer;
  bool over = false;
  std::size_t sent = 0;
  const Peer& same = peer;
  while (sent < bytes.size()) {
    const std::string part = bytes.substr(sent, 32768);
    if (same.say(part)) {
      sent += part.size();
    } else {
      io_.run_for(std::chrono::milliseconds(1));
    }
  }
  answer = answer_to(peer);
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer.substr(0, 100) << over;
}

TEST_F(Server, AnAnswerThatThrowsCostsItsAuthorTheAnswerNoMore) {
  listen();
  EXPECT_TRUE(ask(post("/v1/throw", "")).starts_with("HTTP/1.1 500"));
  EXPECT_TRUE(ask(post("/v1/halt", "")).starts_with("HTTP/1.1 200"));
}

TEST_F(Server, AHaltGetsThroughWhileACrowdOfSlowClientsHoldsItsConnections) {
  listen();
  std::vector<std::unique_ptr<Peer>> crowd;
  for (int i = 0; i < connections_max * 3; ++i) {
    crowd.push_back(std::make_unique<Peer>(socket_));
    if (crowd.back()->connected()) crowd.back()->say("POST /v1/halt HT");
    io_.poll();
  }
  EXPECT_TRUE(ask(post("/v1/halt", "{\"reason\":\"now\"}")).starts_with("HTTP/1.1 200"));
  EXPECT_EQ(requests_.size(), 1u);
}

TEST_F(Server, AClientThatLeavesWithoutReadingHarmsNobody) {
  listen();
  for (int i = 0; i < 100; ++i) {
    const Peer peer(socket_);
    peer.say(post("/v1/view", "{}"));
    io_.poll();
  }
  EXPECT_TRUE(ask(post("/v1/halt", "{}")).starts_with("HTTP/1.1 200"));
}

// Whatever is sent: an answer or a closed connection, and the next request is served.
TEST_F(Server, SurvivesAnythingThatIsSent) {
  listen();
  std::mt19937 random(20261124);
  const int rounds = std::getenv("OVERNIGHT_TORTURE") != nullptr ? 20'000 : 600;
  const std::string good = post("/v1/halt", "{\"reason\":\"x\"}");
  const std::vector<std::string> spice{"\r\n",
                                       "\r\n\r\n",
                                       "\0",
                                       "HTTP/9.9",
                                       "Transfer-Encoding: chunked\r\n",
                                       "ffffffffffff\r\n",
                                       "Content-Length: -1\r\n",
                                       "Content-Length: 99999999999999999999\r\n",
                                       "Expect: 100-continue\r\n",
                                       std::string(9000, 'h'),
                                       "\xff\xfe",
                                       "GET"};
  for (int i = 0; i < rounds; ++i) {
    std::string bytes = good;
    for (auto changes = random() % 5; changes > 0; --changes) {
      const std::size_t at = random() % (bytes.size() + 1);
      switch (random() % 4) {
        case 0:
          bytes = bytes.substr(0, at);
          break;
        case 1:
          bytes.insert(at, spice[random() % spice.size()]);
          break;
        case 2:
          if (at < bytes.size()) bytes[at] = static_cast<char>(random());
          break;
        default:
          bytes.erase(at, random() % 9);
      }
    }
    const Peer peer(socket_);
    ASSERT_TRUE(peer.connected());
    peer.say(bytes);
    peer.finish();
    const std::string answer = answer_to(peer);
    ASSERT_TRUE(answer.empty() || answer.starts_with("HTTP/1.1 ")) << answer;
  }
  EXPECT_TRUE(ask(good).starts_with("HTTP/1.1 200"));
}

}  // namespace
}  // namespace overnight::server
