#include "workers/keeper/standby.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "workers/protocol/standby.h"

namespace overnight::workers {

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

void show_as_argument(char** argv, const std::string& order_path) {
  char* const room = argv[1];
  const auto size = static_cast<std::size_t>(argv[2] + std::strlen(argv[2]) - room);
  if (order_path.size() > size) return;
  std::memset(room, 0, size);
  std::memcpy(room, order_path.data(), order_path.size());
}

}  // namespace overnight::workers
