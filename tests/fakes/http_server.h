// A scripted HTTP server on loopback, with a thread of its own and a memory of what it was asked. Answers as it is told
// to: well, late, in part, or not at all. Used by tests of everything that speaks HTTP.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace overnight::fakes {

struct SeenRequest {
  std::string method, target, body;
  std::map<std::string, std::string> headers;  // names in lower case
};

struct ServerReply {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;
  enum class Ending {
    whole,  // the answer, and the connection stays open
    close,  // the answer, and the connection is closed behind it without a word
    cut,    // half of the body, then the connection breaks
    stall,  // half of the body, then nothing until the client hangs up
    mute,   // nothing at all until the client hangs up
    drop,   // the connection breaks before the answer
  } ending = Ending::whole;
};

class HttpServer {
 public:
  // Called on a thread of the server for each request; `number` counts from 0.
  using Script = std::function<ServerReply(const SeenRequest& request, std::size_t number)>;

  explicit HttpServer(Script script);
  // These replies in order; the last one again and again.
  explicit HttpServer(std::vector<ServerReply> replies);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string url() const;  // http://127.0.0.1:PORT
  std::vector<SeenRequest> requests() const;
  std::size_t connections() const;
  // Blocks until so many requests arrived; false after ten seconds.
  bool saw(std::size_t requests) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A chat completion as OpenAI-compatible servers send it; no usage if `prompt_tokens` is negative.
std::string chat_body(const std::string& text, int prompt_tokens = 100, int completion_tokens = 20,
                      const std::string& finish_reason = "stop", const std::string& model = "local");

}  // namespace overnight::fakes
