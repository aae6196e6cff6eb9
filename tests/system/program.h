// Real programs in a folder of their own: start, read what they say, signal, wait. Nothing here sleeps; every wait ends
// with an event or with a deadline that fails the test.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace overnight::system_tests {

// A fresh folder, removed at the end; its name appears in the environment of every task, so that survivors can be
// found.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::string write(const std::string& name, const std::string& text) const;  // returns the path
  std::string read(const std::string& name) const;

 private:
  std::filesystem::path path_;
};

struct Finished {
  int exit_code = -1;  // 128 + signal if it was killed
  std::string output;  // both streams
};

// One running program; killed at the end if it still runs.
class Program {
 public:
  Program(const std::vector<std::string>& command, const std::filesystem::path& folder,
          const std::map<std::string, std::string>& env = {});
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t pid() const { return pid_; }
  void signal(int number) const;
  // Reads until the output holds `text`; false if it ended or half a minute passed without it.
  bool says(const std::string& text);
  // Waits for its end; fails the test after a minute.
  Finished wait();
  // True if it ended within that time; kills nothing.
  bool ended_within(std::chrono::milliseconds time);
  const std::string& output() const { return output_; }

 private:
  void take(int timeout_ms);

  pid_t pid_ = -1;
  int pidfd_ = -1;
  int pipe_ = -1;
  std::string output_;
};

// build/.../bin/overnight
std::string overnight();

// `overnight ARGS` in `folder`, to its end.
Finished run(const Folder& folder, std::vector<std::string> arguments);
nlohmann::json run_json(const Folder& folder, std::vector<std::string> arguments);

// Processes whose environment or command line names the folder, this one apart.
std::vector<pid_t> alive_in(const Folder& folder);

}  // namespace overnight::system_tests
