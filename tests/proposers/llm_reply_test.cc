// What comes back: bodies of real servers, replies of real models, and mutations of both.
#include "orchestrator/proposers/llm_reply.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "tests/fakes/http_server.h"
#include "tests/proposers/asked.h"
#include "tests/proposers/mutated.h"
#include "tests/proposers/recorded.h"

namespace overnight::proposers {
namespace {

using nlohmann::json;

const std::string point = R"({"lr":0.01,"depth":4,"mixer":"conv"})";
const std::string answer = R"({"proposals":[{"params":)" + point + R"(,"hypothesis":"h","parents":[]}]})";

Offers read(const std::string& text) { return offers_in(text, mixed_space(), {}, 4); }

TEST(Reply, OneObjectIsReadAsItStands) {
  EXPECT_EQ(read(answer).proposals.size(), 1u) << read(answer).problem;
  EXPECT_EQ(read("\n " + answer + "\n").proposals.size(), 1u);
}

TEST(Reply, LenientOnPurposeWithOneFenceOneThoughtAndALonePoint) {
  for (const std::string& text :
       {"```json\n" + answer + "\n```", "```\n" + answer + "```", "<think>hm {\"a\":1}</think>\n" + answer,
        "<think></think>```json\n" + answer + "\n```\n", point, "```json\n" + point + "\n```"}) {
    EXPECT_EQ(read(text).proposals.size(), 1u) << text << ": " << read(text).problem;
  }
}

TEST(Reply, EverythingElseIsRefusedWithAReasonForTheModel) {
  const auto why = [](const std::string& text) {
    const Offers offers = read(text);
    EXPECT_TRUE(offers.proposals.empty()) << text;
    EXPECT_EQ(offers.refused, 1) << text;
    return offers.problem;
  };
  EXPECT_EQ(why(""), "it is empty");
  EXPECT_EQ(why("  \n"), "it is empty");
  EXPECT_EQ(why("<think>never ends").find("it is not JSON"), 0u);
  EXPECT_EQ(why("Sure! " + answer).find("it is not JSON"), 0u);
  EXPECT_EQ(why(answer + " I hope this helps.").find("it is not JSON"), 0u);
  EXPECT_EQ(why(answer + answer).find("it is not JSON"), 0u);
  EXPECT_EQ(why("```json\n" + answer).find("it is not JSON"), 0u) << "a fence that does not end";
  EXPECT_EQ(why("```python\n" + answer + "\n```").find("it is not JSON"), 0u);
  EXPECT_EQ(why("```json\n```json\n" + answer + "\n```\n```").find("it is not JSON"), 0u) << "one fence, not two";
  EXPECT_EQ(why("[" + point + "]"), "it is array, not one JSON object");
  EXPECT_EQ(why("\"" + std::string("text") + "\""), "it is string, not one JSON object");
  EXPECT_EQ(why(R"({"lr":0.01,"lr":0.02,"depth":4,"mixer":"conv"})"), "the key \"lr\" is given twice");
  EXPECT_EQ(why(R"({"lr":NaN,"depth":4,"mixer":"conv"})").find("it is not JSON"), 0u);
  EXPECT_EQ(why(R"({"proposals":[],"note":"x"})"),
            "note: is not a key here; the object holds proposals and nothing else");
  EXPECT_EQ(why(R"({"proposals":{}})"), "proposals: must be a list");
  EXPECT_EQ(why(R"({"proposal":1})"),
            "proposals: is missing (and the object is no point either: proposal: is not a parameter of this study)");
  EXPECT_EQ(why(answer.substr(0, answer.size() - 3)).find("it is not JSON"), 0u) << "cut by max_tokens";
}

TEST(Body, ACompletionIsReadWithItsUsageModelAndEnd) {
  const BodyRead read = read_body(fakes::chat_body("hello", 34, 5, "length", "tiny"));
  ASSERT_TRUE(read.reply);
  EXPECT_EQ(read.reply->text, "hello");
  EXPECT_EQ(read.reply->model, "tiny");
  EXPECT_EQ(read.reply->finish_reason, "length");
  EXPECT_EQ(read.reply->usage, (Usage{budgets::Tokens::of(34), budgets::Tokens::of(5)}));
}

TEST(Body, UsageThatIsMissingOrAbsurdIsNoUsage) {
  EXPECT_FALSE(read_body(fakes::chat_body("x", -1)).reply->usage);
  for (const char* usage :
       {R"({"prompt_tokens":-1,"completion_tokens":1})", R"({"prompt_tokens":1})", "null", "7",
        R"({"prompt_tokens":1e30,"completion_tokens":1})",
        R"({"prompt_tokens":18446744073709551615,"completion_tokens":1})",
        R"({"prompt_tokens":2000000000,"completion_tokens":1})", R"({"prompt_tokens":"12","completion_tokens":1})"}) {
    const BodyRead read = read_body(R"({"choices":[{"message":{"content":"x"}}],"usage":)" + std::string(usage) + "}");
    ASSERT_TRUE(read.reply) << usage;
    EXPECT_FALSE(read.reply->usage) << usage;
  }
}

TEST(Body, RefusalsErrorsAndWhatIsNoCompletionAreToldApart) {
  EXPECT_EQ(read_body(R"({"choices":[{"message":{"content":null,"refusal":"I cannot"}}]})").reply->refusal, "I cannot");
  EXPECT_EQ(read_body(R"({"choices":[{"finish_reason":"content_filter","message":{}}]})").reply->refusal,
            "content_filter");
  const BodyRead error = read_body(R"({"error":{"message":"slow down","type":"rate","code":429}})");
  EXPECT_EQ(error.error->status, 429);
  EXPECT_EQ(error.error->message, "slow down (rate)");
  EXPECT_EQ(read_body(R"({"error":"bad"})").error->message, "bad");
  for (const char* body : {"", "<html>", "[]", "{}", R"({"choices":[]})", R"({"choices":[7]})", R"({"choices":{}})"}) {
    const BodyRead read = read_body(body);
    EXPECT_FALSE(read.reply || read.error) << body;
    EXPECT_NE(read.problem, "") << body;
  }
}

TEST(Body, MessagesOfErrorsAreFoundWhereverServersPutThem) {
  EXPECT_EQ(error_message(R"({"error":{"message":"no","code":"model_not_found"}})"), "no (model_not_found)");
  EXPECT_EQ(error_message(R"({"detail":"Not Found"})"), "Not Found");
  EXPECT_EQ(error_message(R"({"message":"m"})"), "m");
  EXPECT_EQ(error_message("<html>\n502</html>"), "<html> 502</html>");
  EXPECT_LE(error_message(std::string(100'000, 'x')).size(), 200u);
}

// ---- recorded replies of real models ----

TEST(Recorded, OurVerdictOnEveryReplyIsThatOfItsLabels) {
  const auto rows = recorded_replies();
  if (rows.empty()) GTEST_SKIP() << "OVERNIGHT_TEST_DATA is not set: the recorded replies are not here";
  ASSERT_EQ(rows.size(), 120u);
  std::map<std::string, int> refused;
  int taken = 0;
  for (const Recorded& row : rows) {
    const Offers offers = offers_in(row.response, recorded_space(), {}, 1);
    const bool only_a_fence = row.problems == std::vector<std::string>{"code_fence"};
    const bool good = !offers.proposals.empty();
    EXPECT_EQ(good, row.valid || only_a_fence) << row.id << ": " << offers.problem;
    taken += good ? 1 : 0;
    // The study's own parser takes a key given twice; ours does not.
    const auto has = [&](const char* problem) {
      return std::find(row.problems.begin(), row.problems.end(), problem) != row.problems.end();
    };
    EXPECT_EQ(object_in(row.response).has_value(), row.parsed_ok && !has("duplicate_keys")) << row.id;
    if (has("duplicate_keys")) {
      EXPECT_NE(offers.problem.find("is given twice"), std::string::npos) << offers.problem;
    } else if (has("not_an_object")) {
      EXPECT_EQ(offers.problem, "it is array, not one JSON object");
    } else if (has("not_json_inside_fence")) {
      EXPECT_EQ(offers.problem.find("it is not JSON"), 0u) << offers.problem;
    } else if (!good) {
      const bool expected = (has("missing_keys") && offers.problem.find(": missing") != std::string::npos) ||
                            (has("unknown_keys") && offers.problem.find("is not a parameter") != std::string::npos) ||
                            (has("out_of_range") && (offers.problem.find("is above") != std::string::npos ||
                                                     offers.problem.find("is below") != std::string::npos));
      EXPECT_TRUE(expected) << row.id << ": " << offers.problem;
    }
    for (const std::string& problem : row.problems) ++refused[problem];
  }
  EXPECT_EQ(taken, 92) << "80 valid ones, and 12 in a fence";
}

// ---- fuzz ----

RC_GTEST_PROP(Fuzz, WhateverComesIsAPointOfTheSpaceOrARefusalWithAReason, ()) {
  const auto rows = recorded_replies();
  std::vector<std::string> seeds{answer, point, "```json\n" + answer + "\n```"};
  for (std::size_t i = 0; i < rows.size(); i += 10) seeds.push_back(rows[i].response);
  const std::string text = mutated(*rc::gen::elementOf(seeds));
  for (const core::Space& space : {mixed_space(), recorded_space()}) {
    const Offers offers = offers_in(text, space, {}, 4);
    RC_ASSERT(!offers.proposals.empty() || !offers.problem.empty());
    RC_ASSERT(!offers.proposals.empty() || offers.refused > 0 || offers.problem == "proposals: is empty");
    RC_ASSERT(offers.problem.size() < 1000u);
    for (const core::Proposal& proposal : offers.proposals)
      RC_ASSERT(core::canonical(space, proposal.params) == proposal.params);
  }
}

RC_GTEST_PROP(Fuzz, WhateverBodyComesIsReadWithoutHarm, ()) {
  const std::string body = mutated(fakes::chat_body(answer));
  const BodyRead read = read_body(body);
  RC_ASSERT(read.reply.has_value() + read.error.has_value() + !read.problem.empty() == 1);
  if (read.reply && read.reply->usage) RC_ASSERT(read.reply->usage->input.count() >= 0);
}

}  // namespace
}  // namespace overnight::proposers
