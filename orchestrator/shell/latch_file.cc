#include "orchestrator/shell/latch_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <sstream>

namespace overnight::shell {
namespace {

constexpr std::string_view word_open = "open\n";
constexpr std::string_view word_closed = "closed\n";

// One line of text: no line ends, bounded.
std::string line(const std::string& text) {
  std::string out = text.substr(0, 800);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return out + "\n";
}

bool write_whole(const std::filesystem::path& file, const std::string& content, int flags) {
  const int fd = open(file.c_str(), O_WRONLY | O_CLOEXEC | flags, 0600);
  if (fd < 0) return false;
  std::string padded = content.substr(0, latch_file_bytes);
  padded.resize(latch_file_bytes, '\n');
  const bool good =
      pwrite(fd, padded.data(), padded.size(), 0) == static_cast<ssize_t>(padded.size()) && fdatasync(fd) == 0;
  close(fd);
  return good;
}

}  // namespace

budgets::Result<void, std::string> LatchFile::prepare() const {
  std::error_code ignored;
  if (std::filesystem::exists(file_, ignored)) return {};
  if (write_whole(file_, std::string(word_open), O_CREAT | O_EXCL)) return {};
  return budgets::unexpected(file_.string() + ": the latch file cannot be made: " + std::strerror(errno));
}

bool LatchFile::close(const WrittenLatch& latch) const {
  return write_whole(
      file_, std::string(word_closed) + line(latch.run) + line(latch.by) + line(latch.path) + line(latch.reason),
      O_CREAT);
}

budgets::Result<void, std::string> LatchFile::open_again() const {
  if (write_whole(file_, std::string(word_open), O_CREAT)) return {};
  return budgets::unexpected(file_.string() + ": the latch cannot be lifted: " + std::strerror(errno));
}

std::optional<WrittenLatch> LatchFile::read() const {
  const WrittenLatch unreadable{"", "latch file", "file", file_.string() + " cannot be read, which counts as halted"};
  const int fd = open(file_.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return unreadable;
  std::string text(latch_file_bytes, '\0');
  const ssize_t n = pread(fd, text.data(), text.size(), 0);
  ::close(fd);
  if (n <= 0) return unreadable;
  text.resize(static_cast<std::size_t>(n));
  if (text.starts_with(word_open)) return std::nullopt;
  if (!text.starts_with(word_closed)) return unreadable;
  std::istringstream lines(text.substr(word_closed.size()));
  WrittenLatch latch;
  std::getline(lines, latch.run);
  std::getline(lines, latch.by);
  std::getline(lines, latch.path);
  std::getline(lines, latch.reason);
  return latch;
}

}  // namespace overnight::shell
