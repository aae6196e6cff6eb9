// The proposer `llm` against a scripted server: offers, repairs, retries, money, keys, and the ways to stop it.
#include "orchestrator/proposers/llm_proposer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "orchestrator/proposers/make_proposer.h"
#include "tests/fakes/http_server.h"
#include "tests/proposers/asked.h"
#include "tests/proposers/recorded.h"

namespace overnight::proposers {
namespace {

using budgets::MicroUsd;
using budgets::Millis;
using budgets::Tokens;
using fakes::chat_body;
using fakes::HttpServer;
using fakes::ServerReply;
using Ending = ServerReply::Ending;
using nlohmann::json;

const std::string point = R"({"lr":0.01,"depth":4,"mixer":"conv","state":null})";
const std::string other_point = R"({"lr":0.02,"depth":5,"mixer":"conv","state":null})";

std::string answer_with(const std::string& params) {
  return R"({"proposals":[{"params":)" + params + R"(,"hypothesis":"try it","parents":[]}]})";
}
ServerReply good() { return {.body = chat_body(answer_with(point))}; }
ServerReply says(const std::string& text) { return {.body = chat_body(text)}; }
ServerReply error(int status, const std::string& message, const std::string& type = "error") {
  return {.status = status, .body = json{{"error", {{"message", message}, {"type", type}}}}.dump()};
}

core::Study study() {
  core::Study study;
  study.name = "tiny";
  study.objective = {"loss", core::Direction::minimize, 0};
  study.space = mixed_space();
  return study;
}

LlmSettings settings(const HttpServer& server) {
  LlmSettings settings;
  settings.base_url = server.url() + "/v1";
  settings.model = "local";
  settings.max_tokens = 300;
  settings.price = budgets::Price{MicroUsd::of(1'000'000), MicroUsd::of(2'000'000)};
  settings.retry_first = Millis::of(1);
  return settings;
}

ports::AskRequest asking(std::int64_t count = 2) {
  ports::AskRequest request;
  request.ask = core::AskId{1};
  request.count = count;
  request.seed = 11;
  return request;
}

// Asks once a server that answers like this.
struct Once {
  explicit Once(std::vector<ServerReply> replies, ports::AskRequest request = asking())
      : server(std::move(replies)), proposer(study(), settings(server)), answer(proposer.ask(request)) {}
  HttpServer server;
  LlmProposer proposer;
  ports::Answer answer;
  json sent(std::size_t i) const { return json::parse(server.requests().at(i).body); }
};

TEST(Llm, ProposesWhatTheModelSaysAndSettlesWhatItUsed) {
  const Once once({good()});
  EXPECT_EQ(once.answer.failure, "");
  ASSERT_EQ(once.answer.proposals.size(), 1u);
  EXPECT_EQ(once.answer.proposals[0].hypothesis, "try it");
  EXPECT_EQ(once.answer.used.tokens, Tokens::of(120));
  EXPECT_EQ(once.answer.used.money, MicroUsd::of(100 + 40)) << "1 and 2 microdollars a token";
  EXPECT_FALSE(once.answer.cost_unknown);
  EXPECT_EQ(once.answer.remark, "");
  EXPECT_EQ(once.server.requests()[0].target, "/v1/chat/completions");
  EXPECT_EQ(once.sent(0)["model"], "local");
  EXPECT_FALSE(once.server.requests()[0].headers.contains("authorization"));
}

TEST(Llm, AsksForNoMoreThanItsBatchAndNoMoreThanIsWanted) {
  HttpServer server({good()});
  LlmProposer proposer(study(), settings(server));
  proposer.ask(asking(100));
  proposer.ask(asking(1));
  const auto user = [&](std::size_t i) -> std::string {
    return json::parse(server.requests().at(i).body)["messages"][1]["content"];
  };
  EXPECT_NE(user(0).find("exactly 4 proposals"), std::string::npos);
  EXPECT_NE(user(1).find("exactly 1 proposal."), std::string::npos);
}

TEST(Llm, AReplyThatCannotBeUsedIsToldToTheModelAndRepaired) {
  const Once once({says("Sure! Try a higher rate."), good()});
  EXPECT_EQ(once.answer.failure, "");
  EXPECT_EQ(once.answer.proposals.size(), 1u);
  EXPECT_EQ(once.answer.refused, 1);
  EXPECT_EQ(once.answer.used.tokens, Tokens::of(240)) << "both calls";
  const json messages = once.sent(1)["messages"];
  ASSERT_EQ(messages.size(), 4u);
  EXPECT_EQ(messages[2], (json{{"role", "assistant"}, {"content", "Sure! Try a higher rate."}}));
  EXPECT_NE(messages[3]["content"].get<std::string>().find("it is not JSON"), std::string::npos);
  EXPECT_EQ(once.sent(0)["messages"][0], messages[0]) << "the same prefix, for the server's cache";
}

TEST(Llm, TwoRepairsAndNoMore) {
  const Once once({says("no"), says("{}"), says("[]"), good()});
  EXPECT_EQ(once.server.requests().size(), 3u);
  EXPECT_EQ(once.answer.failure, "its reply could not be used after 2 repairs: it is array, not one JSON object");
  EXPECT_TRUE(once.answer.proposals.empty());
  EXPECT_EQ(once.answer.used.tokens, Tokens::of(360));
}

TEST(Llm, PartOfAReplyIsEnough) {
  const std::string both = R"({"proposals":[{"params":)" + point + R"(},{"params":{"lr":99}}]})";
  const Once once({says(both)});
  EXPECT_EQ(once.answer.proposals.size(), 1u);
  EXPECT_EQ(once.answer.refused, 1);
  EXPECT_NE(once.answer.remark.find("1 of its proposals was refused: proposals[1].params.lr"), std::string::npos)
      << once.answer.remark;
  EXPECT_EQ(once.server.requests().size(), 1u);
}

TEST(Llm, PointsThatAreKnownAreSentBackOnceAndThenLeftToTheCore) {
  ports::AskRequest request = asking();
  request.pending.push_back({{"lr", 0.0100000003}, {"depth", std::int64_t{4}}, {"mixer", std::string("conv")}});
  const Once repaired({good(), says(answer_with(other_point))}, request);
  EXPECT_EQ(repaired.answer.proposals.at(0).params.at("lr"), core::ParamValue(0.02));
  const Once stubborn({good()}, request);
  EXPECT_EQ(stubborn.server.requests().size(), 3u);
  EXPECT_EQ(stubborn.answer.failure, "");
  EXPECT_EQ(stubborn.answer.proposals.size(), 1u) << "the core counts it as a duplicate";
}

TEST(Llm, AReplyCutByMaxTokensIsAskedForShorterAndNamedAsSuch) {
  const std::string half = answer_with(point).substr(0, 30);
  const Once once({{.body = chat_body(half, 100, 300, "length")}});
  EXPECT_EQ(once.server.requests().size(), 3u);
  EXPECT_NE(once.answer.failure.find("cut off after 300 tokens"), std::string::npos) << once.answer.failure;
  EXPECT_NE(once.answer.failure.find("raise max_tokens or lower batch"), std::string::npos);
  EXPECT_NE(once.sent(1)["messages"][3]["content"].get<std::string>().find("exactly 1 proposal:"), std::string::npos);
}

TEST(Llm, WhatPassesIsTriedAgainWithinItsBounds) {
  const Once busy(
      {error(429, "slow down"), error(503, "Loading model", "unavailable_error"), error(500, "oops"), good()});
  EXPECT_EQ(busy.answer.failure, "");
  EXPECT_EQ(busy.server.requests().size(), 4u);
  EXPECT_FALSE(busy.answer.cost_unknown) << "an error costs nothing";
  const Once dead({error(503, "Loading model")});
  EXPECT_EQ(dead.server.requests().size(), static_cast<std::size_t>(tries_max));
  EXPECT_EQ(dead.answer.failure, "the server answered 503: Loading model (error) (8 tries)");
  EXPECT_EQ(dead.answer.used.money, MicroUsd{});
}

TEST(Llm, WaitsAsLongAsTheServerAsksButNotForHours) {
  ServerReply limited = error(429, "slow down");
  limited.headers.push_back({"Retry-After", "0.01"});
  EXPECT_EQ(Once({limited, good()}).answer.failure, "");
  limited.headers[0].second = "3600";
  const Once later({limited, good()});
  EXPECT_EQ(later.server.requests().size(), 1u);
  EXPECT_EQ(later.answer.failure, "the server answered 429: slow down (error) and asks to wait 3600 s");
  EXPECT_EQ(later.answer.wait, budgets::seconds(3600)) << "which the core keeps to";
}

TEST(Llm, AConnectionThatBreaksIsTriedAgainAndThenTheCostIsUnknown) {
  ServerReply cut = good();
  cut.ending = Ending::cut;
  const Once once({cut, good()});
  EXPECT_EQ(once.answer.failure, "");
  EXPECT_EQ(once.answer.proposals.size(), 1u);
  EXPECT_TRUE(once.answer.cost_unknown) << "the first one may have been billed";
}

TEST(Llm, NeverMakesMoreRequestsThatCostMoneyThanWereReserved) {
  ServerReply cut = good();
  cut.ending = Ending::cut;
  const Once breaking({cut});
  EXPECT_EQ(breaking.server.requests().size(), static_cast<std::size_t>(billed_requests_max));
  EXPECT_NE(breaking.answer.failure.find("too many requests broke off"), std::string::npos) << breaking.answer.failure;
  const Once mixed({cut, cut, says("no"), says("no"), good()});
  EXPECT_EQ(mixed.server.requests().size(), static_cast<std::size_t>(billed_requests_max));
}

TEST(Llm, AServerThatIsNotThereIsAFailureThatCostsNothing) {
  std::string gone;
  {
    HttpServer server({good()});
    gone = server.url();
  }
  HttpServer unused({good()});
  LlmSettings dead = settings(unused);
  dead.base_url = gone;
  const auto answer = LlmProposer(study(), dead).ask(asking());
  EXPECT_NE(answer.failure.find("Failed to connect"), std::string::npos) << answer.failure;
  EXPECT_NE(answer.failure.find("(3 tries)"), std::string::npos) << "soon told: the address may be wrong";
  EXPECT_FALSE(answer.cost_unknown);
  EXPECT_EQ(answer.used, budgets::Cost{});
}

TEST(Llm, ErrorsOfTheClientAreFinalAndToldInTheServersWords) {
  for (const auto& [status, words] : std::vector<std::pair<int, std::string>>{
           {401, "the server answered 401: Invalid API Key (authentication_error); is the key in api_key_env right?"},
           {403, "the server answered 403: Invalid API Key (authentication_error); is the key in api_key_env right?"},
           {400, "the server answered 400: Invalid API Key (authentication_error)"}}) {
    const Once once({error(status, "Invalid API Key", "authentication_error"), good()});
    EXPECT_EQ(once.server.requests().size(), 1u);
    EXPECT_EQ(once.answer.failure, words);
  }
}

TEST(Llm, AMessageOfTheServerIsBoundedAndCleaned) {
  const Once once({error(402, "pay\n\x1b[31m" + std::string(100'000, '!'))});
  EXPECT_LT(once.answer.failure.size(), 700u);
  EXPECT_EQ(once.answer.failure.find_first_of("\n\x1b"), std::string::npos);
}

TEST(Llm, AContextThatOverflowsIsTriedWithLessOfTheHistory) {
  ports::AskRequest request = asking();
  for (std::int64_t i = 1; i <= 200; ++i)
    request.history.push_back({core::ExperimentId{i},
                               {{"lr", 0.01}, {"depth", std::int64_t{4}}, {"mixer", std::string("conv")}},
                               1.0 / static_cast<double>(i),
                               "",
                               "llm",
                               std::string(600, 'h')});
  const Once once({error(400, "the request exceeds the available context size", "exceed_context_size_error"),
                   says(answer_with(other_point))},
                  request);
  EXPECT_EQ(once.answer.failure, "");
  EXPECT_LT(once.server.requests()[1].body.size(), once.server.requests()[0].body.size());
  EXPECT_NE(once.answer.remark.find("less of the history"), std::string::npos);
  const Once hopeless({error(400, "maximum context length is 128 tokens")}, request);
  EXPECT_EQ(hopeless.server.requests().size(), 1u + shorter_prompts_max);
  EXPECT_NE(hopeless.answer.failure.find("maximum context length"), std::string::npos);
}

TEST(Llm, APartThatTheServerDoesNotKnowIsLeftOutAndThatIsRemembered) {
  HttpServer server({error(400, "Unknown parameter: response_format"), good(), good()});
  LlmSettings wanted = settings(server);
  LlmProposer proposer(study(), wanted);
  const auto first = proposer.ask(asking());
  EXPECT_EQ(first.failure, "");
  EXPECT_NE(first.remark, "");
  const auto second = proposer.ask(asking());
  EXPECT_EQ(second.remark, "");
  EXPECT_EQ(server.requests().size(), 3u);
}

TEST(Llm, AServerThatAnswersAsAnotherModelIsRemarkedOnce) {
  HttpServer server({{.body = chat_body(answer_with(point), 1, 1, "stop", "tiny-instruct")}});
  LlmProposer proposer(study(), settings(server));
  EXPECT_EQ(proposer.ask(asking()).remark, "asked for local, the server answered as tiny-instruct");
  EXPECT_EQ(proposer.ask(asking()).remark, "");
}

TEST(Llm, WithoutUsageTheReservationIsSettledWhole) {
  EXPECT_TRUE(Once({{.body = chat_body(answer_with(point), -1)}}).answer.cost_unknown);
}

TEST(Llm, TheKeyGoesIntoTheHeaderAndNowhereElse) {
  HttpServer server({error(401, "Incorrect API key provided: sk-very-secret"),
                     {.body = chat_body(R"({"proposals":[{"params":)" + point + R"(,"hypothesis":"sk-very-secret"}]})",
                                        1, 1, "stop", "sk-very-secret")}});
  LlmSettings with_key = settings(server);
  with_key.key = "sk-very-secret";
  LlmProposer proposer(study(), with_key);
  const auto refused = proposer.ask(asking());
  EXPECT_EQ(server.requests()[0].headers.at("authorization"), "Bearer sk-very-secret");
  EXPECT_EQ(server.requests()[0].body.find("sk-very"), std::string::npos);
  EXPECT_NE(refused.failure.find("Incorrect API key provided: [key]"), std::string::npos) << refused.failure;
  const auto answered = proposer.ask(asking());
  EXPECT_EQ(answered.proposals.at(0).hypothesis, "[key]");
  EXPECT_EQ(answered.remark.find("sk-very"), std::string::npos);
}

TEST(Llm, AMessageThatIsCutInTheMiddleOfTheKeyShowsNoPartOfIt) {
  for (std::size_t before = 180; before < 620; before += 11) {
    HttpServer server({error(401, std::string(before, 'x') + "sk-very-secret")});
    LlmSettings with_key = settings(server);
    with_key.key = "sk-very-secret";
    const auto refused = LlmProposer(study(), with_key).ask(asking());
    EXPECT_EQ(refused.failure.find("sk-"), std::string::npos) << refused.failure;
  }
}

TEST(Llm, TheKeyDoesNotFollowARedirect) {
  HttpServer elsewhere({good()});
  HttpServer server({{.status = 307, .headers = {{"Location", elsewhere.url() + "/v1/chat/completions"}}}});
  LlmSettings with_key = settings(server);
  with_key.key = "sk-very-secret";
  const auto answer = LlmProposer(study(), with_key).ask(asking());
  EXPECT_NE(answer.failure.find("write the final address as base_url"), std::string::npos) << answer.failure;
  EXPECT_TRUE(elsewhere.requests().empty());
}

TEST(Llm, AnAskEndsWithinItsTime) {
  HttpServer server({{.ending = Ending::mute}});
  LlmSettings hurried = settings(server);
  hurried.timeout = Millis::of(80);
  const auto answer = LlmProposer(study(), hurried).ask(asking());
  EXPECT_NE(answer.failure, "");
  EXPECT_TRUE(answer.cost_unknown);
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST(Llm, ACancelEndsTheAskAndAWaitForTheServer) {
  for (const bool waiting : {false, true}) {
    ServerReply limited = error(429, "slow down");
    limited.headers.push_back({"Retry-After", "50"});
    HttpServer server({waiting ? limited : ServerReply{.ending = Ending::mute}});
    LlmProposer proposer(study(), settings(server));
    ports::Answer answer;
    std::thread asker([&] { answer = proposer.ask(asking()); });
    EXPECT_TRUE(server.saw(1));
    const auto asked = std::chrono::steady_clock::now();
    proposer.cancel();
    asker.join();
    EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::seconds(5));
    EXPECT_EQ(answer.failure, "it was cancelled");
    EXPECT_TRUE(waiting || answer.cost_unknown);
  }
}

TEST(Llm, TheWorstCaseCoversEveryRequestWithItsLongestPrompt) {
  HttpServer server({says(std::string(200'000, 'x')), says(std::string(200'000, 'y')), says("no")});
  LlmSettings wanted = settings(server);
  LlmProposer proposer(study(), wanted);
  ports::AskRequest request = asking(4);
  for (std::int64_t i = 1; i <= 500; ++i)
    request.history.push_back({core::ExperimentId{i},
                               {{"lr", 0.01}, {"depth", std::int64_t{4}}, {"mixer", std::string("conv")}},
                               1.0,
                               "",
                               "llm",
                               std::string(600, 'h')});
  proposer.ask(request);
  const auto worst = proposer.worst_case();
  std::int64_t prompt_bytes = 0;
  for (const auto& seen : server.requests()) {
    std::int64_t one = 0;
    const json sent = json::parse(seen.body);
    for (const auto& message : sent["messages"])
      one += static_cast<std::int64_t>(message["content"].get<std::string>().size());
    prompt_bytes = std::max(prompt_bytes, one);
  }
  EXPECT_GT(prompt_bytes, 10'000);
  EXPECT_GE(worst.tokens.count(), billed_requests_max * (prompt_bytes + wanted.max_tokens));
  EXPECT_GE(worst.money.count(), billed_requests_max * (prompt_bytes + 2 * wanted.max_tokens));
}

TEST(Llm, ReplaysEveryRecordedReplyThroughTheWireWithTheVerdictOfItsLabel) {
  const auto& rows = recorded_replies();
  if (rows.empty()) GTEST_SKIP() << "OVERNIGHT_TEST_DATA is not set: the recorded replies are not here";
  std::size_t current = 0;
  HttpServer server([&](const fakes::SeenRequest&, std::size_t) { return says(rows[current].response); });
  core::Study recorded = study();
  recorded.space = recorded_space();
  LlmProposer proposer(recorded, settings(server));
  for (current = 0; current < rows.size(); ++current) {
    const std::size_t before = server.requests().size();
    const auto answer = proposer.ask(asking(1));
    const bool good = rows[current].valid || rows[current].problems == std::vector<std::string>{"code_fence"};
    EXPECT_EQ(answer.failure.empty(), good) << rows[current].id << ": " << answer.failure;
    EXPECT_EQ(server.requests().size() - before, good ? 1u : 3u) << rows[current].id << ": it was asked to repair";
  }
}

// ---- from the study's settings ----

core::Study with_llm(std::map<std::string, std::string> more = {}) {
  core::Study made = study();
  core::ProposerSpec spec{.kind = "llm", .name = "llm"};
  spec.settings = {{"base_url", "http://localhost:8080/v1"}, {"model", "m"}};
  spec.settings.merge(more);
  made.proposers.push_back(spec);
  return made;
}

Surroundings around(const std::optional<std::string>& key, std::optional<budgets::Price> price = budgets::Price{}) {
  return {[key](const std::string&) { return key; }, [price](const core::ProposerSpec&) { return price; }};
}

TEST(MakeLlm, NeedsAnAddressAModelAndAGoodKey) {
  EXPECT_TRUE(make_proposer(with_llm(), 0, around(std::nullopt)));
  const core::Study keyed = with_llm({{"api_key_env", "MY_KEY"}});
  EXPECT_TRUE(make_proposer(keyed, 0, around("sk-1")));
  EXPECT_EQ(make_proposer(keyed, 0, around(std::nullopt)).error(),
            "api_key_env: MY_KEY is not set in this environment; export it first");
  EXPECT_EQ(make_proposer(keyed, 0, around("")).error(),
            "api_key_env: MY_KEY is not set in this environment; export it first");
  for (const std::string& bad : {std::string("sk-1\r\nX-Evil: 1"), std::string("sk 1"), std::string(5000, 'k')}) {
    const auto refused = make_proposer(keyed, 0, around(bad));
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().find("holds what no key can be"), std::string::npos);
    EXPECT_EQ(refused.error().find("sk"), std::string::npos) << "the key stands in no message";
  }
  EXPECT_FALSE(make_proposer(with_llm({{"batch", "0"}}), 0, around(std::nullopt)));
  EXPECT_FALSE(make_proposer(with_llm({{"temperature", "3"}}), 0, around(std::nullopt)));
  EXPECT_FALSE(make_proposer(with_llm({{"max_tokens", "x"}}), 0, around(std::nullopt)));
}

TEST(MakeLlm, AnUnknownPriceUnderAMoneyCapRefusesToStart) {
  core::Study capped = with_llm();
  EXPECT_TRUE(make_proposer(capped, 0, around(std::nullopt, std::nullopt))) << "without a cap it may run";
  capped.run_budget.llm_cost = MicroUsd::of(1'000'000);
  EXPECT_TRUE(make_proposer(capped, 0, around(std::nullopt)));
  const auto refused = make_proposer(capped, 0, around(std::nullopt, std::nullopt));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().find("the price of m is not known, so budgets.run.llm_cost could not hold; give the "
                                 "proposer price: {input: $0.50, output: $2.00}"),
            0u)
      << refused.error();
}

TEST(MakeLlm, ACapThatDoesNotPayForOneAskRefusesToStart) {
  core::Study capped = with_llm();
  capped.run_budget.llm_tokens = Tokens::of(10'000);
  const auto refused = make_proposer(capped, 0, around(std::nullopt));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().find("budgets.run.llm_tokens (10000) does not pay for one ask, which reserves "), 0u);
  capped.run_budget.llm_tokens = Tokens::of(1'000'000);
  EXPECT_TRUE(make_proposer(capped, 0, around(std::nullopt)));
  capped.run_budget.llm_cost = MicroUsd::of(100);
  const budgets::Price price{MicroUsd::of(1'000'000), MicroUsd::of(1'000'000)};
  EXPECT_EQ(make_proposer(capped, 0, around(std::nullopt, price)).error().find("budgets.run.llm_cost (100 micro-USD)"),
            0u);
}

}  // namespace
}  // namespace overnight::proposers
