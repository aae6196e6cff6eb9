// Recorded replies of real models (OVERNIGHT_TEST_DATA/llm-replies), and the space that they were asked about.
#pragma once

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "orchestrator/ports/proposer.h"

namespace overnight::proposers {

struct Recorded {
  std::string id, response;
  bool parsed_ok = false, valid = false;
  std::vector<std::string> problems;
};

// Empty without OVERNIGHT_TEST_DATA.
inline const std::vector<Recorded>& recorded_replies() {
  static const std::vector<Recorded> rows = [] {
    std::vector<Recorded> read;
    const char* data = std::getenv("OVERNIGHT_TEST_DATA");
    if (data == nullptr) return read;
    std::ifstream in(std::string(data) + "/llm-replies/replies.jsonl");
    for (std::string line; std::getline(in, line);) {
      const auto row = nlohmann::json::parse(line);
      read.push_back({row["id"], row["response"], row["parsed_ok"], row["valid"], row["problems"]});
    }
    return read;
  }();
  return rows;
}

inline core::Space recorded_space() {
  using core::Scale;
  core::Space space;
  const auto whole = [&](const char* name, std::int64_t low, std::int64_t high, Scale scale) {
    space.dimensions.push_back({name, core::IntRange{low, high, scale, 1}, {}});
  };
  const auto real = [&](const char* name, double low, double high, Scale scale) {
    space.dimensions.push_back({name, core::FloatRange{low, high, scale}, {}});
  };
  whole("ASPECT_RATIO", 32, 128, Scale::linear);
  whole("DEPTH", 4, 24, Scale::linear);
  whole("DEVICE_BATCH_SIZE", 32, 256, Scale::log);
  real("EMBEDDING_LR", 0.01, 2.0, Scale::log);
  real("FINAL_LR_FRAC", 0.0, 0.2, Scale::linear);
  whole("HEAD_DIM", 64, 256, Scale::log);
  real("MATRIX_LR", 0.005, 0.2, Scale::log);
  real("SCALAR_LR", 0.05, 2.0, Scale::log);
  whole("TOTAL_BATCH_SIZE", 65536, 2097152, Scale::log);
  real("UNEMBEDDING_LR", 0.0005, 0.05, Scale::log);
  real("WARMDOWN_RATIO", 0.1, 0.8, Scale::linear);
  real("WARMUP_RATIO", 0.0, 0.3, Scale::linear);
  real("WEIGHT_DECAY", 0.0, 0.5, Scale::linear);
  core::Choice patterns;
  for (const char* pattern : {"SSSL", "SSLL", "SLSL", "LLLL", "SSSS", "LSSL"})
    patterns.values.push_back(std::string(pattern));
  space.dimensions.push_back({"WINDOW_PATTERN", patterns, {}});
  return space;
}

}  // namespace overnight::proposers
