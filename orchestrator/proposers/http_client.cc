#include "orchestrator/proposers/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "budgets/invariant.h"

namespace overnight::proposers {
namespace {

constexpr long connect_timeout_ms = 10'000;
constexpr std::size_t header_bytes_max = 512;
constexpr int poll_ms = 1000;  // at most this long between looks at the clock; a cancel wakes the poll

using Handle = std::unique_ptr<CURL, decltype(&curl_easy_cleanup)>;
using Headers = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

// One exchange: what curl's callbacks fill.
struct Exchange {
  std::size_t reply_bytes_max = 0;
  HttpReply reply;
  bool too_large = false;
};

std::size_t take_body(char* data, std::size_t size, std::size_t count, void* to) {
  auto& exchange = *static_cast<Exchange*>(to);
  const std::size_t bytes = size * count;
  if (exchange.reply.body.size() + bytes > exchange.reply_bytes_max) {
    exchange.too_large = true;
    return 0;
  }
  exchange.reply.body.append(data, bytes);
  return bytes;
}

std::size_t take_header(char* data, std::size_t size, std::size_t count, void* to) {
  HttpReply& reply = static_cast<Exchange*>(to)->reply;
  const std::string_view line(data, size * count);
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return line.size();
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  std::string_view value = line.substr(colon + 1);
  const std::size_t first = value.find_first_not_of(" \t\r\n");
  value = first == std::string_view::npos ? std::string_view{}
                                          : value.substr(first, value.find_last_not_of(" \t\r\n") - first + 1);
  const std::string text(value.substr(0, header_bytes_max));
  if (name == "content-type") reply.content_type = text;
  if (name == "retry-after") reply.retry_after = text;
  if (name == "retry-after-ms") reply.retry_after_ms = text;
  if (name == "location") reply.location = text;
  return line.size();
}

bool is_loopback(const std::string& url) {
  return url.starts_with("http://localhost") || url.starts_with("http://127.") || url.starts_with("http://[::1]");
}

HttpFault fault_of(CURLcode code) {
  switch (static_cast<int>(code)) {
    case CURLE_OPERATION_TIMEDOUT:
      return HttpFault::timed_out;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return HttpFault::bad_address;
    case CURLE_FILESIZE_EXCEEDED:
      return HttpFault::too_large;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return HttpFault::unreachable;
    default:
      return HttpFault::cut;
  }
}

void set_up(CURL* curl, const HttpRequest& request, curl_slist* headers, Exchange& exchange, char* words) {
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);  // else a cancel waits for a name that is being resolved
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, connect_timeout_ms);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<std::int64_t>(1, request.timeout.count())));
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "overnight/" OVERNIGHT_VERSION);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_POST, 1L);
  curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data());
  curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(request.reply_bytes_max));
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, words);
  if (is_loopback(request.url)) curl_easy_setopt(curl, CURLOPT_PROXY, "");
}

}  // namespace

struct HttpClient::Impl {
  std::unique_ptr<CURLM, decltype(&curl_multi_cleanup)> multi{nullptr, curl_multi_cleanup};
  std::atomic<bool> cancelled{false};
  std::mutex mutex;
  std::condition_variable woken;

  // Runs the exchange that was added; none if it was cancelled.
  std::optional<CURLcode> drive() {
    int running = 1;
    while (!cancelled) {
      if (curl_multi_perform(multi.get(), &running) != CURLM_OK) return CURLE_OUT_OF_MEMORY;
      int left = 0;
      while (const CURLMsg* message = curl_multi_info_read(multi.get(), &left)) {
        if (message->msg == CURLMSG_DONE) return message->data.result;
      }
      if (running == 0) return CURLE_OUT_OF_MEMORY;
      curl_multi_poll(multi.get(), nullptr, 0, poll_ms, nullptr);
    }
    return std::nullopt;
  }
};

HttpClient::HttpClient() : impl_(std::make_unique<Impl>()) {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  INVARIANT(ready == CURLE_OK, "libcurl can be used");
  impl_->multi.reset(curl_multi_init());
  INVARIANT(impl_->multi != nullptr, "libcurl has memory");
}

HttpClient::~HttpClient() = default;

budgets::Result<HttpReply, HttpFailure> HttpClient::post(const HttpRequest& request) {
  const Handle handle(curl_easy_init(), curl_easy_cleanup);
  INVARIANT(handle != nullptr, "libcurl has memory");
  Headers headers(curl_slist_append(nullptr, "Content-Type: application/json"), curl_slist_free_all);
  curl_slist_append(headers.get(), "Expect:");  // no round trip before the body
  for (const std::string& header : request.headers) curl_slist_append(headers.get(), header.c_str());
  Exchange exchange;
  exchange.reply_bytes_max = request.reply_bytes_max;
  char words[CURL_ERROR_SIZE] = {};
  set_up(handle.get(), request, headers.get(), exchange, words);
  curl_multi_add_handle(impl_->multi.get(), handle.get());
  const std::optional<CURLcode> code = impl_->drive();
  long sent_bytes = 0, status = 0;
  curl_easy_getinfo(handle.get(), CURLINFO_REQUEST_SIZE, &sent_bytes);
  curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
  curl_multi_remove_handle(impl_->multi.get(), handle.get());
  const bool sent = sent_bytes > 0;
  if (!code) return budgets::unexpected(HttpFailure{HttpFault::cancelled, "it was cancelled", sent});
  if (exchange.too_large || *code == CURLE_FILESIZE_EXCEEDED)
    return budgets::unexpected(HttpFailure{
        HttpFault::too_large, "the answer is longer than " + std::to_string(request.reply_bytes_max) + " bytes", sent});
  if (*code != CURLE_OK) {
    const HttpFault fault = fault_of(*code);
    return budgets::unexpected(HttpFailure{fault == HttpFault::timed_out && !sent ? HttpFault::unreachable : fault,
                                           words[0] != '\0' ? words : curl_easy_strerror(*code), sent});
  }
  exchange.reply.status = static_cast<int>(status);
  return std::move(exchange.reply);
}

bool HttpClient::wait(budgets::Millis time) {
  std::unique_lock lock(impl_->mutex);
  return !impl_->woken.wait_for(lock, std::chrono::milliseconds(time.count()), [&] { return impl_->cancelled.load(); });
}

void HttpClient::cancel() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->cancelled = true;
  }
  impl_->woken.notify_all();
  curl_multi_wakeup(impl_->multi.get());
}

bool HttpClient::cancelled() const { return impl_->cancelled; }

}  // namespace overnight::proposers
