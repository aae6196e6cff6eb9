// A run whose task works until it is killed, up to the moment when the task has started.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <memory>
#include <set>

#include "tests/system/studies.h"

namespace overnight::system_tests {

// A task that runs until it is killed, with a child that left its session.
inline constexpr const char* endless =
    "trap '' TERM INT HUP\n(setsid sh -c 'exec sleep 1000' &)\necho \"loss: $1\"\necho started\nexec sleep 1000\n";

// True if the log of any attempt of a run in `runs` says so.
inline bool task_started(const std::filesystem::path& runs) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(runs, ignored)) {
    if (entry.path().filename() != "train.stdout.log") continue;
    std::ifstream in(entry.path());
    const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    if (text.find("started") != std::string::npos) return true;
  }
  return false;
}

inline std::unique_ptr<Program> start_endless(const Folder& folder,
                                              const std::map<std::string, std::string>& env = {}) {
  const std::filesystem::path runs = folder.path() / ".overnight" / "runs";
  std::set<std::filesystem::path> before;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(runs, ignored)) before.insert(entry.path());
  auto program = std::make_unique<Program>(
      std::vector<std::string>{overnight(), "run", write_study(folder, {.script = endless}), "--plain"}, folder.path(),
      env);
  EXPECT_TRUE(program->says("run started")) << program->output();
  const auto started = [&] {
    for (const auto& entry : std::filesystem::directory_iterator(runs, ignored)) {
      if (!before.contains(entry.path()) && task_started(entry.path())) return true;
    }
    return false;
  };
  for (int i = 0; i < 3000 && !started(); ++i) program->ended_within(std::chrono::milliseconds(10));
  EXPECT_TRUE(started());
  return program;
}

}  // namespace overnight::system_tests
