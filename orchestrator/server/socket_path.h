// Names for unix sockets that fit where the kernel's 107 bytes would not hold the real path.
#pragma once

#include <filesystem>
#include <string>

namespace overnight::server {

// A name under which `socket` can be bound or connected to while this lives: the path itself, or, if that is too long,
// one through a descriptor of its folder.
class SocketPath {
 public:
  explicit SocketPath(const std::filesystem::path& socket);
  ~SocketPath();
  SocketPath(const SocketPath&) = delete;
  SocketPath& operator=(const SocketPath&) = delete;
  const std::string& name() const { return name_; }

 private:
  int folder_ = -1;
  std::string name_;
};

}  // namespace overnight::server
