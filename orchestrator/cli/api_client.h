// Talks to the orchestrator that owns a home, over its unix socket.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "budgets/result.h"

namespace overnight::cli {

struct ApiReply {
  int status = 0;
  std::string body;
};

// None: nobody listens (no orchestrator runs, or it is hung: `explain` says which).
struct ApiSilence {
  bool refused = false;  // no socket, or nobody behind it
  std::string explain;
};

budgets::Result<ApiReply, ApiSilence> call_api(const std::filesystem::path& home, const std::string& method,
                                               const std::string& path, const std::string& body, int timeout_ms = 5000);

std::filesystem::path api_socket(const std::filesystem::path& home);

// POSTs JSON to a web address (the webhook at the end of a run). Empty: it was taken.
std::string post_webhook(const std::string& url, const std::string& body);

}  // namespace overnight::cli
