#include "orchestrator/cli/people.h"

#include <pwd.h>

#include <vector>

namespace overnight::cli {
namespace {

constexpr std::size_t entry_bytes_max = 65536;  // a longer entry of the user database is not read

}  // namespace

std::string user_words(uid_t user) {
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> buffer(entry_bytes_max);
  const bool known = getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr;
  return "user:" + (known && *entry.pw_name != '\0' ? std::string(entry.pw_name) : std::to_string(user));
}

}  // namespace overnight::cli
