#include "orchestrator/cli/webhook.h"

#include <curl/curl.h>
#include <poll.h>

#include <memory>

namespace overnight::cli {
namespace {

constexpr int pause_ms = 500;  // before the second try; doubled for the third

std::size_t ignore(char*, std::size_t size, std::size_t count, void*) { return size * count; }

struct Tried {
  bool again = false;  // the failure may pass
  std::string why;     // empty: it was taken
};

Tried post_once(const std::string& url, const std::string& body) {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle{curl_easy_init(), curl_easy_cleanup};
  const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers{
      curl_slist_append(nullptr, "Content-Type: application/json"), curl_slist_free_all};
  CURL* curl = handle.get();
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(webhook_try_ms_max));
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "overnight");
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore);
  curl_easy_setopt(curl, CURLOPT_POST, 1L);
  curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.c_str());
  curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
  const CURLcode code = curl_easy_perform(curl);
  if (code != CURLE_OK) return {true, std::string("the webhook was not reached: ") + curl_easy_strerror(code)};
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  if (status >= 200 && status < 300) return {};
  return {status >= 500 || status == 408 || status == 429,
          "the webhook answered with status " + std::to_string(status)};
}

}  // namespace

std::string post_webhook(const std::string& url, const std::string& body) {
  Tried tried;
  for (int i = 0; i < webhook_tries_max; ++i) {
    if (i > 0) poll(nullptr, 0, pause_ms * i);
    tried = post_once(url, body);
    if (tried.why.empty() || !tried.again) return tried.why;
  }
  return tried.why + " (" + std::to_string(webhook_tries_max) + " tries)";
}

}  // namespace overnight::cli
