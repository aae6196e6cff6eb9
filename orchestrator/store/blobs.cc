#include "orchestrator/store/blobs.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "orchestrator/core/digest.h"
#include "orchestrator/store/fields.h"

namespace overnight::store {

// Names come from journals and requests: only a hash is one, so that none leads out of the folder.
Stored<std::string> Blobs::path_of(const std::string& name) const {
  SetHash hexadecimal;
  if (hexadecimal.read(name)) return folder_ + "/" + name.substr(0, 2) + "/" + name;
  return budgets::unexpected(
      StoreError{StoreError::Kind::missing,
                 fmt::format("\"{}\" is no name of a blob in {}: names are 64 hexadecimal digits, in small letters",
                             name.substr(0, 80), folder_)});
}

Stored<std::string> Blobs::put(std::string_view bytes) const {
  if (bytes.size() > blob_bytes_max) {
    return budgets::unexpected(StoreError{
        StoreError::Kind::misuse,
        fmt::format("cannot keep {} bytes in {}: a blob has at most {}", bytes.size(), folder_, blob_bytes_max)});
  }
  const std::string name = core::hex(core::sha256(bytes));
  const Stored<std::string> path = path_of(name);
  if (!path) return path;
  if (get(name)) return name;  // a damaged one is written anew
  const Stored<void> made = make_folder(folder_ + "/" + name.substr(0, 2));
  if (!made) return budgets::unexpected(made.error());
  const Stored<void> written = write_whole(*path, bytes);
  if (!written) return budgets::unexpected(written.error());
  return name;
}

Stored<std::string> Blobs::get(const std::string& name) const {
  const Stored<std::string> path = path_of(name);
  if (!path) return path;
  Stored<std::optional<std::string>> bytes = read_whole(*path, blob_bytes_max);
  if (!bytes) return budgets::unexpected(bytes.error());
  if (!*bytes) return budgets::unexpected(error_of_errno(ENOENT, "read", *path));
  if (core::hex(core::sha256(**bytes)) == name) return std::move(**bytes);
  return budgets::unexpected(corrupt(*path, "its bytes are not those that its name stands for"));
}

Stored<void> Blobs::remove(const std::string& name) const {
  const Stored<std::string> path = path_of(name);
  if (!path) return budgets::unexpected(path.error());
  if (::unlink(path->c_str()) == 0 || errno == ENOENT) return {};
  return budgets::unexpected(error_of_errno(errno, "remove", *path));
}

}  // namespace overnight::store
