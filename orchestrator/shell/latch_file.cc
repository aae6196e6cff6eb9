#include "orchestrator/shell/latch_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <sstream>

namespace overnight::shell {
namespace {

constexpr std::string_view word_open = "open\n";
constexpr std::string_view word_closed = "closed\n";
constexpr std::string_view word_end = "end\n";  // behind the fields: what lacks it was torn
constexpr std::size_t field_bytes_max = 1200;   // three of them and the words fit the file

// One line of text: no line ends, bounded.
std::string line(const std::string& text) {
  std::string out = text.substr(0, field_bytes_max);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return out + "\n";
}

std::string padded(std::string content) {
  content.resize(latch_file_bytes, '\n');
  return content;
}

bool write_whole(const std::filesystem::path& file, const std::string& content, int flags) {
  const int fd = open(file.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
  if (fd < 0) return false;
  const std::string bytes = padded(content);
  const bool good = pwrite(fd, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()) &&
                    ftruncate(fd, static_cast<off_t>(bytes.size())) == 0 && fdatasync(fd) == 0;
  const int failure = errno;
  close(fd);
  errno = failure;
  return good;
}

bool sync_folder(const std::filesystem::path& file) {
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool good = fsync(fd) == 0;
  close(fd);
  return good;
}

}  // namespace

bool LatchFile::exists() const {
  struct stat found {};
  return lstat(file_.c_str(), &found) == 0;
}

budgets::Result<void, std::string> LatchFile::prepare() const {
  if (exists()) return {};
  // Written elsewhere and then put in its place: who is killed half way must not leave a latch that says nothing, which
  // would count as closed for ever.
  const std::string made = file_.string() + ".new";
  const bool written = write_whole(made, std::string(word_open), O_CREAT | O_TRUNC) &&
                       ::link(made.c_str(), file_.c_str()) == 0 && sync_folder(file_);
  const int failure = errno;
  ::unlink(made.c_str());
  if (written || failure == EEXIST) return {};  // a halt without us was faster, and stands
  errno = failure;
  const std::string why = std::strerror(errno);
  return budgets::unexpected(file_.string() + ": the latch file cannot be made: " + why +
                             "; without it a halt could not be written down, so nothing was started");
}

bool LatchFile::close(const WrittenLatch& latch) const {
  return write_whole(
      file_, std::string(word_closed) + line(latch.by) + line(latch.path) + line(latch.reason) + std::string(word_end),
      O_CREAT);
}

budgets::Result<void, std::string> LatchFile::open_again() const {
  if (write_whole(file_, std::string(word_open), O_CREAT)) return {};
  return budgets::unexpected(file_.string() + ": the latch cannot be lifted: " + std::strerror(errno));
}

std::optional<WrittenLatch> LatchFile::read() const {
  const auto unreadable = [&](const std::string& why) {
    return WrittenLatch{"latch file", "file", file_.string() + " " + why + ", which counts as halted"};
  };
  const int fd = open(file_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return unreadable(std::string("cannot be read (") + std::strerror(errno) + ")");
  std::string text(latch_file_bytes + 1, '\0');
  const ssize_t n = pread(fd, text.data(), text.size(), 0);
  ::close(fd);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(0, n)));
  if (text == padded(std::string(word_open))) return std::nullopt;
  if (text.size() != latch_file_bytes || !text.starts_with(word_closed))
    return unreadable("does not hold what overnight writes there");
  std::istringstream lines(text.substr(word_closed.size()));
  WrittenLatch latch;
  std::string last;
  std::getline(lines, latch.by);
  std::getline(lines, latch.path);
  std::getline(lines, latch.reason);
  std::getline(lines, last);
  if (last + "\n" != word_end) return unreadable("was torn while it was written");
  return latch;
}

}  // namespace overnight::shell
