#include "workers/keeper/standby.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

#include "workers/protocol/standby.h"

namespace overnight::workers {
namespace {

std::span<char> argument_room;  // a process has one, where the kernel put it

}  // namespace

std::optional<std::string> await_order_path(int control) {
  std::string path;
  while (path.size() <= order_path_bytes_max) {
    char bytes[512];
    const ssize_t seen = ::recv(control, bytes, sizeof bytes, MSG_PEEK);
    if (seen < 0 && errno == EINTR) continue;
    if (seen <= 0) return std::nullopt;
    const char* end = std::find(bytes, bytes + seen, '\0');
    const bool whole = end != bytes + seen;
    const ssize_t taken = ::recv(control, bytes, static_cast<std::size_t>(end - bytes + (whole ? 1 : 0)), 0);
    if (taken <= 0) return std::nullopt;
    path.append(bytes, static_cast<std::size_t>(end - bytes));
    if (whole) return path;
  }
  return std::nullopt;
}

void remember_arguments(char** argv) {
  argument_room = {argv[1], static_cast<std::size_t>(argv[2] + std::strlen(argv[2]) - argv[1])};
}

void show_as_argument(const std::string& text) {
  if (text.size() > argument_room.size()) return;
  std::fill(argument_room.begin(), argument_room.end(), '\0');
  std::copy(text.begin(), text.end(), argument_room.begin());
}

}  // namespace overnight::workers
