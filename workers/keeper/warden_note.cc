#include "workers/keeper/warden_note.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "budgets/invariant.h"

namespace overnight::workers {

bool send_note(int channel, WardenNote note, std::span<const int> descriptors) {
  INVARIANT(descriptors.size() <= note_descriptors_max, "a note carries few descriptors");
  iovec part{&note, sizeof note};
  alignas(cmsghdr) char control[CMSG_SPACE(note_descriptors_max * sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
  }
  ssize_t sent = 0;
  while ((sent = ::sendmsg(channel, &message, MSG_NOSIGNAL)) < 0 && errno == EINTR) {
  }
  return sent == sizeof note;
}

bool receive_note(int channel, WardenNote& note, std::vector<Descriptor>& descriptors) {
  iovec part{&note, sizeof note};
  alignas(cmsghdr) char control[CMSG_SPACE(note_descriptors_max * sizeof(int))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t size = 0;
  while ((size = ::recvmsg(channel, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {
  }
  if (size < 0) return false;  // then nothing was written to `control`
  for (cmsghdr* rights = CMSG_FIRSTHDR(&message); rights; rights = CMSG_NXTHDR(&message, rights)) {
    if (rights->cmsg_type != SCM_RIGHTS) continue;
    int came[note_descriptors_max];
    const std::size_t bytes = rights->cmsg_len - CMSG_LEN(0);
    std::memcpy(came, CMSG_DATA(rights), bytes);
    for (std::size_t i = 0; i < bytes / sizeof(int); ++i) descriptors.emplace_back(came[i]);
  }
  return size == sizeof note;
}

}  // namespace overnight::workers
