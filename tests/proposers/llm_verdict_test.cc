// What follows from each answer of a server and from each way to get none; and what recorded servers say.
#include "orchestrator/proposers/llm_verdict.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "orchestrator/proposers/llm_request.h"
#include "tests/fakes/http_server.h"

namespace overnight::proposers {
namespace {

using budgets::Millis;

constexpr std::int64_t now = 1'795'403'237;  // 2026-11-23 03:07:17 UTC

Verdict verdict(int status, const std::string& body = "", const std::string& retry_after = "") {
  HttpReply reply;
  reply.status = status;
  reply.body = body;
  reply.content_type = "application/json";
  reply.retry_after = retry_after;
  return verdict_of(reply, now);
}

TEST(Verdict, WhatPassesIsTriedAgainAndWhatDoesNotIsNot) {
  for (const int status : {408, 409, 425, 429, 500, 502, 503, 504, 529})
    EXPECT_EQ(verdict(status).next, Next::again) << status;
  for (const int status : {401, 402, 403, 404, 405, 410, 451}) EXPECT_EQ(verdict(status).next, Next::give_up) << status;
  for (const int status : {204, 301, 302, 307, 308}) EXPECT_EQ(verdict(status).next, Next::give_up) << status;
}

TEST(Verdict, AGatewayThatGaveUpMayHaveCostMoneyAndAnErrorDidNot) {
  EXPECT_TRUE(verdict(502).cost_unknown);
  EXPECT_TRUE(verdict(504).cost_unknown);
  for (const int status : {400, 401, 404, 429, 500, 503}) EXPECT_FALSE(verdict(status).cost_unknown) << status;
}

TEST(Verdict, ASpentQuotaIsNotTriedAgain) {
  const Verdict spent =
      verdict(429, R"({"error":{"message":"You exceeded your current quota","type":"insufficient_quota"}})", "1");
  EXPECT_EQ(spent.next, Next::give_up);
  EXPECT_NE(spent.reason.find("You exceeded your current quota"), std::string::npos);
}

TEST(Verdict, APromptThatIsTooLongIsTriedShorter) {
  EXPECT_EQ(verdict(413).next, Next::shorter);
  for (
      const char* body :
      {R"j({"error":{"message":"request (9 tokens) exceeds the size (8 tokens)","type":"exceed_context_size_error"}})j",
       R"j({"error":{"message":"This model's maximum context length is 8192 tokens","code":"x"}})j"})
    EXPECT_EQ(verdict(400, body).next, Next::shorter) << body;
}

TEST(Verdict, ARedirectIsToldAndNotFollowed) {
  HttpReply reply;
  reply.status = 302;
  reply.location = "https://elsewhere.example/v1\r\n";
  const Verdict redirect = verdict_of(reply, now);
  EXPECT_EQ(redirect.next, Next::give_up);
  EXPECT_NE(redirect.reason.find("https://elsewhere.example/v1; the key is sent nowhere else"), std::string::npos);
}

TEST(Verdict, APageThatIsNoApiSaysSo) {
  HttpReply reply;
  reply.status = 200;
  reply.body = "<html>Welcome</html>";
  reply.content_type = "text/html";
  const Verdict page = verdict_of(reply, now);
  EXPECT_EQ(page.next, Next::give_up);
  EXPECT_NE(page.reason.find("text/html; is base_url an OpenAI-compatible API?"), std::string::npos) << page.reason;
}

TEST(Verdict, ABodyThatBrokeOffIsTriedAgainAndItsCostIsUnknown) {
  const std::string whole = fakes::chat_body("hello");
  const Verdict cut = verdict(200, whole.substr(0, whole.size() / 2));
  EXPECT_EQ(cut.next, Next::again);
  EXPECT_TRUE(cut.cost_unknown);
}

TEST(Verdict, AnErrorInA200CountsAsTheStatusThatItNames) {
  EXPECT_EQ(verdict(200, R"({"error":{"message":"slow down","code":429}})").next, Next::again);
  EXPECT_EQ(verdict(200, R"({"error":{"message":"no such model","code":404}})").next, Next::give_up);
}

TEST(Verdict, ARefusalOfTheModelIsFinal) {
  const Verdict refusal = verdict(200, R"({"choices":[{"message":{"content":null,"refusal":"I cannot help"}}]})");
  EXPECT_EQ(refusal.next, Next::give_up);
  EXPECT_EQ(refusal.reason, "the model refused: I cannot help");
  EXPECT_TRUE(refusal.cost_unknown);
}

TEST(Verdict, ConnectionsThatFailAreTriedAgainAndTimeoutsAreNot) {
  EXPECT_EQ(verdict_of(HttpFailure{HttpFault::unreachable, "refused", false}).next, Next::again);
  EXPECT_FALSE(verdict_of(HttpFailure{HttpFault::unreachable, "refused", false}).cost_unknown);
  EXPECT_EQ(verdict_of(HttpFailure{HttpFault::cut, "reset", true}).next, Next::again);
  EXPECT_TRUE(verdict_of(HttpFailure{HttpFault::cut, "reset", true}).cost_unknown);
  for (const HttpFault fault :
       {HttpFault::timed_out, HttpFault::cancelled, HttpFault::too_large, HttpFault::bad_address})
    EXPECT_EQ(verdict_of(HttpFailure{fault, "", true}).next, Next::give_up);
}

TEST(RetryAfter, IsSecondsOrAnHttpDate) {
  EXPECT_EQ(wait_of_retry_after("7", now), Millis::of(7000));
  EXPECT_EQ(wait_of_retry_after("0", now), Millis::of(0));
  EXPECT_EQ(wait_of_retry_after("1.5", now), Millis::of(1500));
  EXPECT_EQ(wait_of_retry_after("Mon, 23 Nov 2026 03:07:27 GMT", now), Millis::of(10'000));
  EXPECT_FALSE(wait_of_retry_after("Mon, 23 Nov 2026 03:07:07 GMT", now)) << "it is over";
  for (const char* nonsense : {"", "soon", "-3", "nan", "inf", "1e300", "7 apples"})
    EXPECT_FALSE(wait_of_retry_after(nonsense, now)) << nonsense;
  EXPECT_FALSE(wait_of_retry_after(std::string(5000, '1'), now));
}

TEST(RetryAfter, MillisecondsGoBeforeSeconds) {
  HttpReply reply;
  reply.status = 429;
  reply.retry_after = "7";
  reply.retry_after_ms = "250";
  EXPECT_EQ(verdict_of(reply, now).asked_wait, Millis::of(250));
  EXPECT_EQ(verdict(503, "", "3").asked_wait, Millis::of(3000));
}

TEST(Backoff, DoublesIsBoundedAndDiffersBetweenProposers) {
  const Millis first = budgets::seconds(1);
  EXPECT_EQ(wait_before_retry(first, 1, 0), Millis::of(1000));
  EXPECT_EQ(wait_before_retry(first, 3, 0), Millis::of(4000));
  for (int tries = 1; tries < 100; ++tries) {
    EXPECT_LE(wait_before_retry(first, tries, 0), retry_wait_max);
    EXPECT_GE(wait_before_retry(first, tries, 123456789), Millis::of(750));
  }
  EXPECT_NE(wait_before_retry(first, 3, 17), wait_before_retry(first, 3, 18));
}

// ---- recorded exchanges with a real server ----

struct Exchanged {
  nlohmann::json request, response;
};

std::map<std::string, Exchanged> recorded_exchanges() {
  std::map<std::string, Exchanged> all;
  const char* data = std::getenv("OVERNIGHT_TEST_DATA");
  if (data == nullptr) return all;
  for (const auto& file : std::filesystem::directory_iterator(std::string(data) + "/llm-wire")) {
    if (file.path().extension() != ".json") continue;
    std::ifstream in(file.path());
    const auto parsed = nlohmann::json::parse(in);
    all[parsed["name"]] = {parsed["request"], parsed["response"]};
  }
  return all;
}

Verdict verdict_on(const nlohmann::json& response) {
  HttpReply reply;
  reply.status = response["status"];
  reply.body = response.contains("json") ? response["json"].dump() : response.value("text", "");
  for (const auto& header : response["headers"]) {
    if (header[0] == "Content-Type") reply.content_type = header[1];
  }
  return verdict_of(reply, now);
}

TEST(Recorded, EveryAnswerOfARealServerIsUnderstood) {
  const auto all = recorded_exchanges();
  if (all.empty()) GTEST_SKIP() << "OVERNIGHT_TEST_DATA is not set: the recorded exchanges are not here";
  EXPECT_EQ(all.size(), 60u);
  int completions = 0, refusals = 0, others = 0;
  for (const auto& [name, exchange] : all) {
    const Verdict verdict = verdict_on(exchange.response);
    const int status = exchange.response["status"];
    const bool chat = exchange.request["path"] == "/v1/chat/completions" && exchange.request["method"] == "POST";
    if (chat && status == 200 && exchange.response.contains("json")) {
      ASSERT_EQ(verdict.next, Next::use) << name << ": " << verdict.reason;
      const auto& usage = exchange.response["json"]["usage"];
      ASSERT_TRUE(verdict.reply->usage) << name;
      EXPECT_EQ(verdict.reply->usage->input.count(), usage["prompt_tokens"]) << name;
      EXPECT_EQ(verdict.reply->usage->output.count(), usage["completion_tokens"]) << name;
      EXPECT_EQ(verdict.reply->finish_reason, exchange.response["json"]["choices"][0]["finish_reason"]) << name;
      EXPECT_EQ(verdict.reply->model, "tiny-instruct") << name;
      ++completions;
    } else if (chat && status >= 400) {
      EXPECT_NE(verdict.next, Next::use) << name;
      EXPECT_NE(verdict.reason.find(std::to_string(status) + ": "), std::string::npos) << name << verdict.reason;
      ++refusals;
    } else if (chat) {  // a stream, which is never asked for: not taken for an answer
      EXPECT_NE(verdict.next, Next::use) << name;
      ++others;
    }
  }
  EXPECT_GT(completions, 20);
  EXPECT_GE(refusals, 8);
  EXPECT_GT(others, 3);
}

TEST(Recorded, ItsErrorsLeadWhereTheyShould) {
  auto all = recorded_exchanges();
  if (all.empty()) GTEST_SKIP() << "OVERNIGHT_TEST_DATA is not set: the recorded exchanges are not here";
  const auto next = [&](const char* name) { return verdict_on(all.at(name).response).next; };
  EXPECT_EQ(next("key-bad"), Next::give_up);
  EXPECT_EQ(next("key-none"), Next::give_up);
  EXPECT_EQ(next("context-overflow"), Next::shorter);
  EXPECT_EQ(next("context-overflow-stream"), Next::shorter);
  EXPECT_EQ(next("temperature-string"), Next::other_dialect);
  const Verdict schema = verdict_on(all.at("schema-bad-type").response);
  EXPECT_EQ(schema.next, Next::other_dialect);
  EXPECT_TRUE(stepped_down({}, schema.reason)) << schema.reason;
  const Verdict format = verdict_on(all.at("response-format-unknown").response);
  EXPECT_TRUE(stepped_down({}, format.reason)) << format.reason;
  const Verdict cut = verdict_on(all.at("schema-cut-by-max-tokens").response);
  EXPECT_EQ(cut.reply->finish_reason, "length");
  EXPECT_FALSE(object_in(cut.reply->text));
}

}  // namespace
}  // namespace overnight::proposers
