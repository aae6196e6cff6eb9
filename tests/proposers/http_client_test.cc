// The HTTP client against a scripted server: bounds, breaks, and that a cancel is quick.
#include "orchestrator/proposers/http_client.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "tests/fakes/http_server.h"
#include "tests/fakes/tls_server.h"

namespace overnight::proposers {
namespace {

using budgets::Millis;
using fakes::HttpServer;
using fakes::ServerReply;
using Ending = ServerReply::Ending;
using Steady = std::chrono::steady_clock;

HttpRequest request(const std::string& url) {
  return {url + "/v1", "{\"a\":1}", {"X-Test: yes"}, budgets::seconds(30)};
}

TEST(HttpClient, PostsJsonAndBringsBackStatusBodyAndHeaders) {
  HttpServer server({{.status = 429, .body = "{}", .headers = {{"Retry-After", "7"}, {"Retry-After-Ms", " 250 "}}}});
  HttpClient client;
  const auto reply = client.post(request(server.url()));
  ASSERT_TRUE(reply) << reply.error().explain;
  EXPECT_EQ(reply->status, 429);
  EXPECT_EQ(reply->body, "{}");
  EXPECT_EQ(reply->content_type, "application/json");
  EXPECT_EQ(reply->retry_after, "7");
  EXPECT_EQ(reply->retry_after_ms, "250");
  const auto seen = server.requests().at(0);
  EXPECT_EQ(seen.method, "POST");
  EXPECT_EQ(seen.target, "/v1");
  EXPECT_EQ(seen.body, "{\"a\":1}");
  EXPECT_EQ(seen.headers.at("content-type"), "application/json");
  EXPECT_EQ(seen.headers.at("x-test"), "yes");
  EXPECT_FALSE(seen.headers.contains("expect"));
}

TEST(HttpClient, KeepsItsConnectionAndSurvivesThatTheServerClosedIt) {
  HttpServer server({{.body = "1"}, {.body = "2", .ending = Ending::close}, {.body = "3"}});
  HttpClient client;
  for (const char* body : {"1", "2", "3"}) {
    const auto reply = client.post(request(server.url()));
    ASSERT_TRUE(reply) << reply.error().explain;
    EXPECT_EQ(reply->body, body);
  }
  EXPECT_EQ(server.connections(), 2u);
}

TEST(HttpClient, FollowsNoRedirect) {
  HttpServer elsewhere({{.body = "never"}});
  HttpServer server({{.status = 307, .headers = {{"Location", elsewhere.url()}}}});
  HttpClient client;
  const auto reply = client.post(request(server.url()));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 307);
  EXPECT_EQ(reply->location, elsewhere.url());
  EXPECT_TRUE(elsewhere.requests().empty());
}

TEST(HttpClient, AnAnswerIsBoundedWhetherItsLengthIsToldOrNot) {
  const std::string huge(3'000'000, 'x');
  HttpServer told({{.body = huge}});
  HttpClient client;
  EXPECT_EQ(client.post(request(told.url())).error().fault, HttpFault::too_large);
  HttpServer untold([&](const fakes::SeenRequest&, std::size_t) {
    return ServerReply{.status = 200, .body = huge, .headers = {{"X-Length", "unknown"}}, .ending = Ending::close};
  });
  EXPECT_EQ(client.post(request(untold.url())).error().fault, HttpFault::too_large);
}

TEST(HttpClient, TellsApartWhatWasNeverSentAndWhatBrokeOff) {
  HttpClient client;
  std::string gone;
  {
    HttpServer server({{.body = "{}"}});
    gone = server.url();
  }
  const auto refused = client.post(request(gone));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, HttpFault::unreachable);
  EXPECT_FALSE(refused.error().sent);

  HttpServer cut({{.body = std::string(1000, 'x'), .ending = Ending::cut}, {.ending = Ending::drop}});
  for (int i = 0; i < 2; ++i) {
    const auto broken = client.post(request(cut.url()));
    ASSERT_FALSE(broken);
    EXPECT_EQ(broken.error().fault, HttpFault::cut);
    EXPECT_TRUE(broken.error().sent);
    EXPECT_NE(broken.error().explain, "");
  }
}

TEST(HttpClient, GivesUpWhenItsTimeIsOver) {
  HttpServer server({{.ending = Ending::mute}});
  HttpClient client;
  HttpRequest short_one = request(server.url());
  short_one.timeout = Millis::of(50);
  const auto late = client.post(short_one);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().fault, HttpFault::timed_out);
  EXPECT_TRUE(late.error().sent);
}

TEST(HttpClient, SpeaksOnlyHttp) {
  HttpClient client;
  for (const char* url : {"file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "nonsense://x", ":"}) {
    HttpRequest bad = request(url);
    bad.url = url;
    const auto refused = client.post(bad);
    ASSERT_FALSE(refused) << url;
    EXPECT_EQ(refused.error().fault, HttpFault::bad_address) << url << refused.error().explain;
  }
}

TEST(HttpClient, SaysNothingToAServerThatSpeaksNoTls) {
  HttpServer server({{.body = "{}"}});
  HttpClient client;
  const auto refused = client.post(request("https" + server.url().substr(4)));
  ASSERT_FALSE(refused);
  EXPECT_FALSE(server.requests().size() > 0);
}

TEST(HttpClient, TellsNothingToAServerWhoseCertificateNobodySigned) {
  fakes::SelfSignedServer server;
  HttpClient client;
  const auto refused = client.post(request(server.url()));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, HttpFault::unreachable);
  EXPECT_FALSE(refused.error().sent);
  EXPECT_NE(refused.error().explain.find("certificate"), std::string::npos) << refused.error().explain;
  EXPECT_EQ(server.heard(), "");
}

// The time from `cancel` to the return, when the work is under way.
Millis time_to_cancel(HttpClient& client, const std::function<void()>& under_way, const std::function<void()>& work) {
  Steady::time_point returned;
  std::thread worker([&] {
    work();
    returned = Steady::now();
  });
  under_way();
  const auto asked = Steady::now();
  client.cancel();
  worker.join();
  return Millis::of(std::chrono::duration_cast<std::chrono::milliseconds>(returned - asked).count());
}

TEST(HttpClient, ACancelEndsAnExchangeWithoutWaitingForTheServer) {
  for (const Ending ending : {Ending::mute, Ending::stall}) {
    HttpServer server({{.body = std::string(1000, 'x'), .ending = ending}});
    HttpClient client;
    const Millis took = time_to_cancel(
        client, [&] { EXPECT_TRUE(server.saw(1)); },
        [&] { EXPECT_EQ(client.post(request(server.url())).error().fault, HttpFault::cancelled); });
    EXPECT_LT(took, budgets::seconds(5)) << "30 s would be its timeout";
  }
}

TEST(HttpClient, ACancelEndsAWaitAndWhatComesAfterIt) {
  HttpServer server({{.body = "{}"}});
  HttpClient client;
  const Millis took = time_to_cancel(
      client, [] {}, [&] { EXPECT_FALSE(client.wait(budgets::seconds(1000))); });
  EXPECT_LT(took, budgets::seconds(5));
  EXPECT_FALSE(client.wait(budgets::seconds(1000)));
  EXPECT_EQ(client.post(request(server.url())).error().fault, HttpFault::cancelled);
  EXPECT_TRUE(server.requests().empty());
}

}  // namespace
}  // namespace overnight::proposers
