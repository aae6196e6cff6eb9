#include "orchestrator/proposers/llm_proposer.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <set>

#include "orchestrator/proposers/history_digest.h"
#include "orchestrator/proposers/told.h"

namespace overnight::proposers {
namespace {

using budgets::Millis;
using Steady = std::chrono::steady_clock;

std::string endpoint(std::string base_url) {
  while (base_url.ends_with('/')) base_url.pop_back();
  return base_url + "/chat/completions";
}

std::set<core::ExperimentId> experiments_in(const ports::History& history) {
  std::set<core::ExperimentId> known;
  for (const ports::KnownTrial& trial : history) known.insert(trial.experiment);
  return known;
}

}  // namespace

// One ask, from the prompt to the answer.
class LlmProposer::Talk {
 public:
  Talk(LlmProposer& self, const ports::AskRequest& request)
      : self_(self),
        settings_(self.settings_),
        request_(request),
        count_(std::clamp<std::int64_t>(request.count, 1, settings_.batch)),
        known_(experiments_in(request.history)),
        until_(Steady::now() + std::chrono::milliseconds(settings_.timeout.count())) {}

  ports::Answer run() {
    while (true) {
      const auto reply = exchange();
      if (!reply) break;
      if (take(*reply)) break;
    }
    if (!settings_.key.empty()) {
      answer_.failure = without_secret(std::move(answer_.failure), settings_.key);
      answer_.remark = without_secret(std::move(answer_.remark), settings_.key);
      for (core::Proposal& proposal : answer_.proposals)
        proposal.hypothesis = without_secret(std::move(proposal.hypothesis), settings_.key);
    }
    return std::move(answer_);
  }

 private:
  Millis left() const {
    return Millis::of(std::chrono::duration_cast<std::chrono::milliseconds>(until_ - Steady::now()).count());
  }

  bool fail(const std::string& why) {
    answer_.failure = told(why, 2 * told_bytes_max);
    return true;
  }
  void remark(const std::string& what) { answer_.remark += (answer_.remark.empty() ? "" : "; ") + what; }

  ChatRequest chat() const {
    ChatRequest chat;
    chat.model = settings_.model;
    chat.messages = {{"system", system_text(self_.study_, settings_.brief)},
                     {"user", user_text(self_.study_, request_, count_, history_bytes_)}};
    chat.messages.insert(chat.messages.end(), repair_.begin(), repair_.end());
    chat.max_tokens = settings_.max_tokens;
    chat.temperature = settings_.temperature;
    chat.seed = request_.seed + static_cast<std::uint64_t>(repairs_);
    return chat;
  }

  // One good answer of the server, whatever it takes within the bounds; none: the ask failed.
  std::optional<ChatReply> exchange() {
    for (int tries = 1;;) {
      if (billed_ == billed_requests_max) return failed("too many requests broke off: " + last_fault_);
      if (left() <= Millis{}) return failed("no answer within its time" + after_fault());
      HttpRequest request{endpoint(settings_.base_url),
                          body_of(chat(), self_.study_.space, count_, self_.dialect_),
                          {},
                          left(),
                          reply_body_bytes_max};
      if (!settings_.key.empty()) request.headers.push_back("Authorization: Bearer " + settings_.key);
      auto came = self_.http_.post(request);
      self_.reached_ = self_.reached_ || came || came.error().sent;
      if (came) {  // before anything is cut: half a key is a key
        came->body = without_secret(std::move(came->body), settings_.key);
        came->location = without_secret(std::move(came->location), settings_.key);
      }
      Verdict verdict = came ? verdict_of(*came, std::time(nullptr)) : verdict_of(came.error());
      if (verdict.cost_unknown) answer_.cost_unknown = true;
      if (verdict.cost_unknown && !verdict.reply) ++billed_;
      if (verdict.next == Next::use) {
        settle(*verdict.reply);
        return std::move(verdict.reply);
      }
      if (verdict.reply) settle(*verdict.reply);
      last_fault_ = verdict.reason;
      const bool goes_on = verdict.next == Next::again ? wait(verdict, tries++) : change(verdict);
      if (!goes_on) return std::nullopt;
    }
  }

  std::optional<ChatReply> failed(const std::string& why) {
    fail(why);
    return std::nullopt;
  }
  std::string after_fault() const { return last_fault_.empty() ? "" : "; the last fault: " + last_fault_; }

  // Waits before the next try; false if there is none.
  bool wait(const Verdict& verdict, int tries) {
    if (tries == (self_.reached_ ? tries_max : tries_before_contact_max))
      return !fail(verdict.reason + " (" + std::to_string(tries) + " tries)");
    const Millis pause =
        verdict.asked_wait.value_or(wait_before_retry(settings_.retry_first, tries, request_.seed ^ request_.count));
    if (verdict.asked_wait && (pause > retry_after_max || pause >= left())) {
      answer_.wait = pause;
      return !fail(verdict.reason + " and asks to wait " + std::to_string(pause.count() / 1000) + " s");
    }
    if (pause >= left()) return !fail(verdict.reason + " (no time is left to try again)");
    if (!self_.http_.wait(pause)) return !fail("it was cancelled");
    return true;
  }

  // Another request instead of the one that was refused; false if there is none.
  bool change(const Verdict& verdict) {
    if (verdict.next == Next::shorter && shortened_ < shorter_prompts_max) {
      ++shortened_;
      history_bytes_ /= 4;
      remark("the prompt was too long for the server; less of the history is told");
      return true;
    }
    if (verdict.next == Next::other_dialect) {
      if (auto stepped = stepped_down(self_.dialect_, verdict.reason)) {
        self_.dialect_ = stepped->dialect;
        remark(stepped->remark);
        return true;
      }
    }
    return !fail(verdict.reason);
  }

  void settle(const ChatReply& reply) {
    ++billed_;
    if (!reply.usage) {
      answer_.cost_unknown = true;
    } else {
      answer_.used.tokens += reply.usage->input + reply.usage->output;
      if (settings_.price)
        answer_.used.money += budgets::cost_of(*settings_.price, reply.usage->input, reply.usage->output);
    }
    if (!reply.model.empty() && reply.model != settings_.model && reply.model != self_.other_model_) {
      self_.other_model_ = reply.model;
      remark("asked for " + settings_.model + ", the server answered as " + reply.model);
    }
    if (!settings_.price && !std::exchange(self_.price_told_, true))
      remark("the price of " + settings_.model + " is not known; its money is not counted");
  }

  // Takes the offers out of a reply; true if the ask is over.
  bool take(const ChatReply& reply) {
    Offers offers = offers_in(reply.text, self_.study_.space, known_, count_);
    answer_.refused += offers.refused;
    std::string problem = offers.problem;
    if (!offers.proposals.empty()) {
      answer_.proposals = std::move(offers.proposals);
      if (!all_known()) {
        if (offers.refused > 0) remark(offers.remark());
        return true;
      }
      problem = "every point in it was tried or is pending already; propose other points";
    } else if (reply.finish_reason == "length") {
      problem = "it was cut off after " + std::to_string(settings_.max_tokens) + " tokens; be shorter";
      count_ = std::max<std::int64_t>(1, count_ / 2);
    }
    if (repairs_ == repairs_max || billed_ == billed_requests_max) return give_up(reply, problem);
    answer_.proposals.clear();
    ++repairs_;
    repair_ = repair_turns(reply.text, problem, count_);
    return false;
  }

  bool give_up(const ChatReply& reply, const std::string& problem) {
    if (!answer_.proposals.empty()) return true;  // known points: the core refuses and counts them
    std::string why = "its reply could not be used after " + std::to_string(repairs_) + " repairs: " + problem;
    if (reply.finish_reason == "length") why += "; raise max_tokens or lower batch";
    return fail(why);
  }

  // By the digits that the model was shown: a rounded copy of a known point is no new idea.
  bool all_known() const {
    std::set<std::string> points;
    for (const core::Params& params : request_.pending) points.insert(core::canonical_hash(rounded(params)));
    for (const ports::KnownTrial& trial : request_.history) points.insert(core::canonical_hash(rounded(trial.params)));
    return std::all_of(answer_.proposals.begin(), answer_.proposals.end(), [&](const core::Proposal& proposal) {
      return points.contains(core::canonical_hash(rounded(proposal.params)));
    });
  }

  LlmProposer& self_;
  const LlmSettings& settings_;
  const ports::AskRequest& request_;
  std::int64_t count_;
  std::set<core::ExperimentId> known_;
  Steady::time_point until_;
  std::size_t history_bytes_ = history_bytes_max;
  int repairs_ = 0, billed_ = 0, shortened_ = 0;
  std::vector<ChatMessage> repair_;
  std::string last_fault_;
  ports::Answer answer_;
};

LlmProposer::LlmProposer(core::Study study, LlmSettings settings)
    : study_(std::move(study)), settings_(std::move(settings)) {}

budgets::Cost LlmProposer::worst_case() const {
  const std::size_t input = system_text(study_, settings_.brief).size() +
                            schema_of(study_.space, true).size() +  // some servers bill it as part of the prompt
                            user_text(study_, {}, settings_.batch, history_bytes_max).size() + history_bytes_max +
                            bad_reply_bytes_max + problem_bytes_max + repair_text_bytes_max;
  const auto in = budgets::Tokens::of((static_cast<std::int64_t>(input) + template_tokens) * billed_requests_max);
  const auto out = budgets::Tokens::of(settings_.max_tokens * billed_requests_max);
  budgets::Cost worst;
  worst.tokens = in + out;
  if (settings_.price) worst.money = budgets::cost_of(*settings_.price, in, out);
  return worst;
}

ports::Answer LlmProposer::ask(const ports::AskRequest& request) { return Talk(*this, request).run(); }

}  // namespace overnight::proposers
