#include "orchestrator/cli/api_client.h"

#include <curl/curl.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "orchestrator/server/socket_path.h"

namespace overnight::cli {
namespace {

constexpr int view_wait_ms = 2000;  // one that takes longer is called silent
constexpr std::size_t reply_bytes_max = 64 * 1024 * 1024;

std::size_t append(char* data, std::size_t size, std::size_t count, void* to) {
  auto& text = *static_cast<std::string*>(to);
  if (text.size() + size * count > reply_bytes_max) return 0;
  text.append(data, size * count);
  return size * count;
}

struct Call {
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle{curl_easy_init(), curl_easy_cleanup};
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers{
      curl_slist_append(curl_slist_append(nullptr, "Content-Type: application/json"), "Expect:"), curl_slist_free_all};
  std::string reply;

  CURLcode perform(const std::string& url, const std::string& method, const std::string& body, long timeout_ms) {
    CURL* curl = handle.get();
    curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, append);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &reply);
    if (method == "POST") {
      curl_easy_setopt(curl, CURLOPT_POST, 1L);
      curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.c_str());
      curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
    }
    return curl_easy_perform(curl);
  }
};

}  // namespace

std::filesystem::path api_socket(const std::filesystem::path& home) { return home / "api.sock"; }

budgets::Result<ApiReply, ApiSilence> call_api(const std::filesystem::path& home, const std::string& method,
                                               const std::string& path, const std::string& body, int timeout_ms) {
  Call call;
  const std::string socket = api_socket(std::filesystem::absolute(home)).string();
  const server::SocketPath name(socket);
  curl_easy_setopt(call.handle.get(), CURLOPT_UNIX_SOCKET_PATH, name.name().c_str());
  const CURLcode code = call.perform("http://localhost" + path, method, body, timeout_ms);
  if (code == CURLE_COULDNT_CONNECT)
    return budgets::unexpected(ApiSilence{true, false, "no orchestrator listens at " + socket});
  if (code != CURLE_OK)
    return budgets::unexpected(
        ApiSilence{false, code == CURLE_OPERATION_TIMEDOUT,
                   "the orchestrator at " + socket + " does not answer: " + curl_easy_strerror(code)});
  long status = 0;
  curl_easy_getinfo(call.handle.get(), CURLINFO_RESPONSE_CODE, &status);
  return ApiReply{static_cast<int>(status), std::move(call.reply)};
}

Orchestrator orchestrator_of(const std::filesystem::path& home, std::string& view) {
  auto reply = call_api(home, "GET", "/v1/view", "", view_wait_ms);
  if (!reply) return reply.error().refused ? Orchestrator::none : Orchestrator::silent;
  view = std::move(reply->body);
  return Orchestrator::running;
}

std::string refusal_of(const ApiReply& reply) {
  const auto parsed = nlohmann::json::parse(reply.body, nullptr, false);
  if (parsed.is_object() && parsed.contains("error") && parsed["error"].is_string()) return parsed["error"];
  return "status " + std::to_string(reply.status);
}

}  // namespace overnight::cli
