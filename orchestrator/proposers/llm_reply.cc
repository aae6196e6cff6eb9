#include "orchestrator/proposers/llm_reply.h"

#include "orchestrator/proposers/strict_json.h"
#include "orchestrator/proposers/told.h"

namespace overnight::proposers {
namespace {

using budgets::Result;
using nlohmann::json;

constexpr std::string_view spaces = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(spaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(spaces) - first + 1);
}

std::string_view without_thoughts(std::string_view text) {
  constexpr std::string_view open = "<think>", close = "</think>";
  if (!text.starts_with(open)) return text;
  const std::size_t end = text.find(close);
  return end == std::string_view::npos ? text : trimmed(text.substr(end + close.size()));
}

// ``` or ```json on the first line, ``` as the last: what stands between. Anything else is left as it is.
std::string_view without_fence(std::string_view text) {
  constexpr std::string_view fence = "```";
  if (!text.starts_with(fence) || !text.ends_with(fence) || text.size() < 2 * fence.size()) return text;
  const std::size_t line = text.find('\n');
  if (line == std::string_view::npos) return text;
  const std::string_view label = trimmed(text.substr(fence.size(), line - fence.size()));
  if (!label.empty() && label != "json" && label != "JSON") return text;
  return trimmed(text.substr(line, text.size() - fence.size() - line));
}

std::optional<Usage> usage_of(const json& body) {
  const auto found = body.find("usage");
  if (found == body.end() || !found->is_object()) return std::nullopt;
  const auto count = [&](const char* key) -> std::optional<std::int64_t> {
    const auto field = found->find(key);
    if (field == found->end()) return std::nullopt;
    const auto whole = whole_number(*field);
    return whole && *whole >= 0 && *whole <= usage_tokens_max ? whole : std::nullopt;
  };
  const auto input = count("prompt_tokens"), output = count("completion_tokens");
  if (!input || !output) return std::nullopt;
  return Usage{budgets::Tokens::of(*input), budgets::Tokens::of(*output)};
}

ServerError server_error(const json& error) {
  ServerError told_error;
  if (error.is_string()) {
    told_error.message = told(error.get<std::string>());
    return told_error;
  }
  told_error.message = text_field(error, "message");
  for (const char* key : {"type", "code"}) {
    const std::string more = text_field(error, key);
    if (!more.empty()) told_error.message += " (" + more + ")";
  }
  told_error.message = told(told_error.message);
  if (error.is_object() && error.contains("code")) {
    const auto code = whole_number(error["code"]);
    if (code && *code >= 400 && *code < 600) told_error.status = static_cast<int>(*code);
  }
  return told_error;
}

ChatReply reply_of(const json& body, const json& choice) {
  ChatReply reply;
  reply.model = told(text_field(body, "model"), 200);
  reply.usage = usage_of(body);
  reply.finish_reason = told(text_field(choice, "finish_reason"), 64);
  const auto message = choice.find("message");
  if (message != choice.end()) {
    reply.text = text_field(*message, "content");
    reply.refusal = told(text_field(*message, "refusal"));
  }
  if (reply.finish_reason == "content_filter" && reply.refusal.empty()) reply.refusal = "content_filter";
  return reply;
}

}  // namespace

BodyRead read_body(const std::string& body) {
  BodyRead read;
  // Not strict about keys here: servers do send some twice, and nothing of ours depends on which one counts.
  const json parsed = json::parse(body, nullptr, false);
  if (!parsed.is_object()) {
    read.problem = parsed.is_discarded() ? "its body is not JSON" : "its body is no JSON object";
    return read;
  }
  if (const auto error = parsed.find("error"); error != parsed.end() && !error->is_null()) {
    read.error = server_error(*error);
    return read;
  }
  const auto choices = parsed.find("choices");
  if (choices == parsed.end() || !choices->is_array() || choices->empty() || !(*choices)[0].is_object()) {
    read.problem = "its body has no choices";
    return read;
  }
  read.reply = reply_of(parsed, (*choices)[0]);
  return read;
}

std::string error_message(const std::string& body) {
  BodyRead read = read_body(body);
  if (read.error && !read.error->message.empty()) return read.error->message;
  const json parsed = json::parse(body, nullptr, false);
  for (const char* key : {"message", "detail"}) {
    const std::string text = text_field(parsed, key);
    if (!text.empty()) return told(text);
  }
  return told(body, 200);
}

Result<json, std::string> object_in(const std::string& text) {
  const std::string_view answer = without_fence(without_thoughts(trimmed(text)));
  if (answer.empty()) return budgets::unexpected(std::string("it is empty"));
  auto parsed = parse_strictly(answer, reply_text_bytes_max);
  if (!parsed) return budgets::unexpected(parsed.error());
  if (!parsed->is_object())
    return budgets::unexpected("it is " + std::string(parsed->type_name()) + ", not one JSON object");
  return parsed;
}

Offers offers_in(const std::string& text, const core::Space& space, const std::set<core::ExperimentId>& known,
                 std::int64_t count) {
  Offers offers;
  const auto object = object_in(text);
  if (!object) {
    offers.refused = 1;
    offers.problem = object.error();
    return offers;
  }
  const auto list = object->find("proposals");
  if (list != object->end()) {
    for (const auto& [key, _] : object->items()) {
      if (key == "proposals") continue;
      offers.refused = 1;
      offers.problem = told(key, 64) + ": is not a key here; the object holds proposals and nothing else";
      return offers;
    }
    return offers_of(*list, space, known, count);
  }
  const auto params = params_of(*object, space);
  if (params) {
    offers.proposals.push_back({*params, "", {}});
  } else {
    offers.refused = 1;
    offers.problem = "proposals: is missing (and the object is no point either: " +
                     params.error().substr(params.error().starts_with('.') ? 1 : 0) + ")";
  }
  return offers;
}

}  // namespace overnight::proposers
