#include "orchestrator/proposers/llm_verdict.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>

#include "orchestrator/proposers/told.h"

namespace overnight::proposers {
namespace {

using budgets::Millis;

bool has(const std::string& text, std::initializer_list<const char*> words) {
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return std::any_of(words.begin(), words.end(),
                     [&](const char* word) { return lower.find(word) != std::string::npos; });
}

bool is_overflow(const std::string& message) {
  return has(message, {"exceed_context_size", "context_length_exceeded", "maximum context length", "context size",
                       "context window", "prompt is too long", "too many tokens"});
}

// A limit that waiting does not lift.
bool is_spent(const std::string& message) {
  return has(message,
             {"insufficient_quota", "spend_limit", "billing", "credit balance", "exceeded your current quota"});
}

bool passes(int status) { return status == 408 || status == 409 || status == 425 || status == 429 || status >= 500; }

std::string answered(int status, const std::string& message) {
  return "the server answered " + std::to_string(status) + (message.empty() ? "" : ": " + message);
}

Verdict verdict_of_error(int status, const std::string& message) {
  Verdict verdict;
  verdict.reason = answered(status, message);
  if (status == 413 || ((status == 400 || status == 422) && is_overflow(message))) {
    verdict.next = Next::shorter;
  } else if (status == 400 || status == 422) {
    verdict.next = Next::other_dialect;  // if there is one that fits; else it is final
  } else if (passes(status) && !is_spent(message)) {
    verdict.next = Next::again;
    // A gateway that gave up says nothing of the model behind it.
    verdict.cost_unknown = status == 502 || status == 504;
  } else if (status == 401 || status == 403) {
    verdict.reason += "; is the key in api_key_env right?";
  } else if (status == 404) {
    verdict.reason +=
        "; base_url must end where /chat/completions follows, like http://localhost:8080/v1, and the model "
        "must be one of the server's";
  }
  return verdict;
}

std::optional<Millis> asked_wait(const HttpReply& reply, std::int64_t now_unix_s) {
  if (!reply.retry_after_ms.empty()) {
    const auto ms = wait_of_retry_after(reply.retry_after_ms, now_unix_s);  // the same form, a thousand times finer
    if (ms) return Millis::of((ms->count() + 999) / 1000);
  }
  return wait_of_retry_after(reply.retry_after, now_unix_s);
}

}  // namespace

std::optional<Millis> wait_of_retry_after(const std::string& header, std::int64_t now_unix_s) {
  if (header.empty() || header.size() > 64) return std::nullopt;
  char* end = nullptr;
  const double seconds = std::strtod(header.c_str(), &end);
  if (end != header.c_str() && *end == '\0') {
    if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e9) return std::nullopt;
    return Millis::of(static_cast<std::int64_t>(std::ceil(seconds * 1000)));
  }
  const time_t when = curl_getdate(header.c_str(), nullptr);
  if (when < 0 || when < now_unix_s) return std::nullopt;
  return Millis::of((static_cast<std::int64_t>(when) - now_unix_s) * 1000);
}

Millis wait_before_retry(Millis first, int tries, std::uint64_t seed) {
  const std::int64_t doubled = first.count() << std::clamp(tries - 1, 0, 16);
  const std::int64_t wait = std::min(doubled, retry_wait_max.count());
  return Millis::of(wait - static_cast<std::int64_t>(seed % static_cast<std::uint64_t>(wait / 4 + 1)));
}

Verdict verdict_of(const HttpReply& reply, std::int64_t now_unix_s) {
  if (reply.status >= 300 && reply.status < 400) {
    return {.next = Next::give_up,
            .reason = "the server redirects to " + told(reply.location, 200) +
                      "; the key is sent nowhere else: write the final address as base_url"};
  }
  if (reply.status >= 400) {
    Verdict verdict = verdict_of_error(reply.status, error_message(reply.body));
    if (verdict.next == Next::again) verdict.asked_wait = asked_wait(reply, now_unix_s);
    return verdict;
  }
  if (reply.status != 200) return {.next = Next::give_up, .reason = answered(reply.status, "")};
  BodyRead read = read_body(reply.body);
  if (read.reply) {
    if (!read.reply->refusal.empty())
      return {.next = Next::give_up,
              .reason = "the model refused: " + read.reply->refusal,
              .cost_unknown = !read.reply->usage,
              .reply = std::move(read.reply)};
    return {.next = Next::use, .reason = "", .reply = std::move(read.reply)};
  }
  if (read.error) {  // some routers put errors into a 200
    Verdict verdict = verdict_of_error(read.error->status == 0 ? 500 : read.error->status, read.error->message);
    verdict.cost_unknown = true;
    return verdict;
  }
  const bool json_said = reply.content_type.find("json") != std::string::npos;
  return {
      .next = json_said ? Next::again : Next::give_up,
      .reason = "the server's answer cannot be read: " + read.problem +
                (json_said ? "" : " but " + told(reply.content_type, 64) + "; is base_url an OpenAI-compatible API?"),
      .cost_unknown = true};
}

Verdict verdict_of(const HttpFailure& failure) {
  const bool passing = failure.fault == HttpFault::unreachable || failure.fault == HttpFault::cut;
  return {.next = passing ? Next::again : Next::give_up, .reason = failure.explain, .cost_unknown = failure.sent};
}

}  // namespace overnight::proposers
