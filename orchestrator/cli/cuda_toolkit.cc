#include "orchestrator/cli/cuda_toolkit.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <memory>
#include <regex>
#include <sstream>

namespace overnight::cli {
namespace {

constexpr const char* usual_folder = "/usr/local/cuda/bin";
constexpr std::size_t printed_max = 65536;

bool is_program(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && access(path.c_str(), X_OK) == 0;
}

// As one word of a shell's command line.
std::string quoted(const std::string& word) {
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

std::string printed_by(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::string text;
  std::array<char, 4096> chunk{};
  while (pipe && text.size() < printed_max) {
    const std::size_t n = fread(chunk.data(), 1, chunk.size(), pipe.get());
    if (n == 0) break;
    text.append(chunk.data(), n);
  }
  return text;
}

}  // namespace

std::string version_in(const std::string& printed) {
  static const std::regex version(R"(\bV(\d+\.\d+(\.\d+)?)\b)");
  std::smatch found;
  return std::regex_search(printed, found, version) ? found[1].str() : "";
}

std::optional<CudaToolkit> find_cuda_toolkit(const std::string& path) {
  std::istringstream folders(path + ":" + usual_folder);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string nvcc = folder + "/nvcc";
    if (folder.empty() || !is_program(nvcc)) continue;
    return CudaToolkit{nvcc, version_in(printed_by(quoted(nvcc) + " --version 2>/dev/null </dev/null"))};
  }
  return std::nullopt;
}

}  // namespace overnight::cli
