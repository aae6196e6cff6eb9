// The proposer `llm`: asks a language model through an OpenAI-compatible chat-completions endpoint.
//
// A resource: one HTTP client, one ask at a time. It remembers nothing of the run (history comes with each ask), only
// how to speak to its server. What it says to the model stands in llm_prompt.h and llm_request.h, what it makes of the
// answer in llm_reply.h, and of failures in llm_verdict.h; here they are put together.
//
// Promises: an ask ends within `timeout`, retries and repairs included; it makes at most `billed_requests_max` requests
// that can cost money; the key leaves only in the header of a request to base_url, and stands in no text that this
// returns.
#pragma once

#include "budgets/prices.h"
#include "orchestrator/proposers/http_client.h"
#include "orchestrator/proposers/llm_reply.h"
#include "orchestrator/proposers/llm_request.h"
#include "orchestrator/proposers/llm_verdict.h"

namespace overnight::proposers {

inline constexpr int repairs_max = 2;                 // re-asks that tell the model what was wrong
inline constexpr int billed_requests_max = 4;         // the ask, its repairs, and one that broke off
inline constexpr int shorter_prompts_max = 2;         // after a context overflow
inline constexpr std::int64_t template_tokens = 512;  // that a server's chat template may add

struct LlmSettings {
  std::string base_url;
  std::string model;
  std::string key;    // empty: none is sent
  std::string brief;  // what the researcher says of the task
  std::int64_t max_tokens = 4096;
  std::optional<double> temperature;
  budgets::Millis timeout = budgets::seconds(300);  // of one ask
  std::int64_t batch = 4;                           // proposals in one ask, at most
  std::optional<budgets::Price> price;              // none: nobody knows
  budgets::Millis retry_first = budgets::seconds(1);
};

class LlmProposer final : public ports::Proposer {
 public:
  LlmProposer(core::Study study, LlmSettings settings);

  // Every request that can cost money, each with the longest prompt that can be and all of max_tokens. A token is at
  // least one byte of text.
  budgets::Cost worst_case() const override;

  ports::Answer ask(const ports::AskRequest& request) override;
  void cancel() override { http_.cancel(); }

 private:
  class Talk;  // one ask

  core::Study study_;
  LlmSettings settings_;
  HttpClient http_;
  Dialect dialect_;
  std::string other_model_;  // that the server said it used, once told
  bool price_told_ = false;
  bool reached_ = false;  // it answered once, in this life
};

}  // namespace overnight::proposers
