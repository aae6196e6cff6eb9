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

// No answer, and why. Neither flag: the connection was cut, as by an orchestrator that is just ending.
struct ApiSilence {
  bool refused = false;  // no socket, or nobody behind it
  bool hung = false;     // it took the request and did not answer in time
  std::string explain;
};

budgets::Result<ApiReply, ApiSilence> call_api(const std::filesystem::path& home, const std::string& method,
                                               const std::string& path, const std::string& body, int timeout_ms = 5000);

std::filesystem::path api_socket(const std::filesystem::path& home);

// `live` in the store only says that the last life worked on a run; whether one works now, the socket tells.
enum class Orchestrator { none, silent, running };

// `view`: what it says of its runs, in JSON, if it says anything; the store is up to core::wall_unsaid_max behind it.
Orchestrator orchestrator_of(const std::filesystem::path& home, std::string& view);

// What a refusal says, in words.
std::string refusal_of(const ApiReply& reply);

}  // namespace overnight::cli
