#include "orchestrator/cli/console.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace overnight::cli {
namespace {

constexpr std::size_t careful_bytes = 512;  // into a descriptor that might block: what fits where poll says "more"

}  // namespace

Console::Console(int descriptor) : descriptor_(descriptor) {
  struct stat found {};
  // A file never blocks, and a second description of it would have a place of its own in it.
  if (::fstat(descriptor, &found) != 0 || !(S_ISFIFO(found.st_mode) || S_ISCHR(found.st_mode))) return;
  const std::string name = "/proc/self/fd/" + std::to_string(descriptor);
  const int reopened = ::open(name.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (reopened < 0) return;
  descriptor_ = reopened;
  own_ = true;
}

Console::~Console() {
  flush();
  if (own_) ::close(descriptor_);
}

void Console::write(const std::string& text) {
  if (gone_) return;
  if (waiting_.size() + text.size() > waiting_max) {
    ++dropped_;
  } else {
    if (dropped_ > 0 && waiting_.empty()) {
      waiting_ = "(" + std::to_string(dropped_) + " lines were left out, because nobody read them)\n";
      dropped_ = 0;
    }
    waiting_ += text;
  }
  flush();
}

void Console::flush() {
  while (!gone_ && !waiting_.empty()) {
    pollfd can{descriptor_, POLLOUT, 0};
    if (::poll(&can, 1, 0) <= 0) return;
    const std::size_t size = own_ ? waiting_.size() : std::min(waiting_.size(), careful_bytes);
    const ssize_t written = ::write(descriptor_, waiting_.data(), size);
    if (written < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (written < 0) return abandon();
    waiting_.erase(0, static_cast<std::size_t>(written));
  }
}

void Console::abandon() {
  gone_ = true;
  waiting_.clear();
}

}  // namespace overnight::cli
