// Who asks: a user of this machine in the words that journal and latch keep.
#pragma once

#include <sys/types.h>

#include <string>

namespace overnight::cli {

// "user:alice", or "user:1000" where nobody knows a name.
std::string user_words(uid_t user);

}  // namespace overnight::cli
