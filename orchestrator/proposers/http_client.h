// HTTP over libcurl: POST a JSON body, get a bounded answer, and be interruptible at any moment.
//
// A resource; used by one thread at a time, while any other may call `cancel`. Only http and https, certificates
// verified, redirects not followed (what is in the headers would follow them), nothing asked through a proxy on this
// machine itself. Connections are kept between calls.
// The program ignores SIGPIPE (cli/conduct.cc): TLS may write to a connection that is gone.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "budgets/result.h"
#include "budgets/time.h"

namespace overnight::proposers {

struct HttpRequest {
  std::string url;
  std::string body;
  std::vector<std::string> headers;  // "Name: value", beside Content-Type
  budgets::Millis timeout;           // of the whole exchange
  std::size_t reply_bytes_max = 1 << 20;
};

struct HttpReply {
  int status = 0;
  std::string body;
  std::string content_type, retry_after, retry_after_ms, location;  // headers, as sent; at most 512 bytes each
};

enum class HttpFault {
  cancelled,
  timed_out,
  unreachable,  // no connection, or none that can be trusted
  cut,          // the connection broke before the answer was complete
  too_large,
  bad_address,
};

struct HttpFailure {
  HttpFault fault = HttpFault::unreachable;
  std::string explain;  // for people
  bool sent = false;    // the server may have got the request
};

class HttpClient {
 public:
  HttpClient();
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  budgets::Result<HttpReply, HttpFailure> post(const HttpRequest& request);

  // Waits; false if it was cancelled meanwhile.
  bool wait(budgets::Millis time);

  // From any thread, for good: what is going on returns within moments, what comes later at once.
  void cancel();
  bool cancelled() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace overnight::proposers
