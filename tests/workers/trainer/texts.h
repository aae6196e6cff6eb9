// A folder with small texts that a tiny model can learn something from.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace overnight::workers {

class Texts {
 public:
  explicit Texts(const std::string& name, int count = 20)
      : path_(std::filesystem::temp_directory_path() / ("overnight-texts." + name + "." + std::to_string(getpid()))) {
    std::filesystem::create_directories(path_);
    for (int i = 0; i < count; ++i) {
      std::ofstream out(path_ / ("text" + std::to_string(100 + i) + ".txt"));
      for (int line = 0; line < 40; ++line)
        out << "document " << i << " says in line " << line << " that the night is long; then it says so again.\n";
    }
  }
  ~Texts() { std::filesystem::remove_all(path_); }
  Texts(const Texts&) = delete;
  Texts& operator=(const Texts&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace overnight::workers
