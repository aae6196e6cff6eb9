#include "orchestrator/server/socket_path.h"

#include <fcntl.h>
#include <sys/un.h>
#include <unistd.h>

namespace overnight::server {

SocketPath::SocketPath(const std::filesystem::path& socket) : name_(socket.string()) {
  if (name_.size() < sizeof(sockaddr_un::sun_path)) return;
  folder_ = ::open(socket.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (folder_ >= 0) name_ = "/proc/self/fd/" + std::to_string(folder_) + "/" + socket.filename().string();
}

SocketPath::~SocketPath() {
  if (folder_ >= 0) ::close(folder_);
}

}  // namespace overnight::server
