#include "workers/keeper/log_file.h"

#include <fcntl.h>

#include <algorithm>

#include "workers/protocol/receipt.h"

namespace overnight::workers {
namespace {

std::int64_t ring_of(std::int64_t bound) { return std::min(bound / 2, log_ring_bytes_max); }

// Bytes of the UTF-8 sequence at the front of `text`; 0 if it is not one.
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  std::size_t length = 0;
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first < 0xE0) length = 2;
  if (first >= 0xE0 && first < 0xF0) length = 3;
  if (first >= 0xF0 && first < 0xF5) length = 4;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xF0 && byte(1) < 0x90);
  const bool outside = (first == 0xED && byte(1) >= 0xA0) || (first == 0xF4 && byte(1) >= 0x90);
  return overlong || outside ? 0 : length;
}

}  // namespace

void TailRing::append(std::string_view text) {
  if (text.size() >= capacity_) {
    pushed_out_ += static_cast<std::int64_t>(bytes_.size() + text.size() - capacity_);
    bytes_.assign(text.substr(text.size() - capacity_));
    oldest_ = 0;
    return;
  }
  const std::size_t room = capacity_ - bytes_.size();
  const std::size_t grown = std::min(room, text.size());
  bytes_.append(text.substr(0, grown));
  text.remove_prefix(grown);
  pushed_out_ += static_cast<std::int64_t>(text.size());
  while (!text.empty()) {
    const std::size_t part = std::min(text.size(), capacity_ - oldest_);
    std::copy_n(text.data(), part, bytes_.data() + oldest_);
    oldest_ = (oldest_ + part) % capacity_;
    text.remove_prefix(part);
  }
}

std::string TailRing::text() const { return bytes_.substr(oldest_) + bytes_.substr(0, oldest_); }

LogFile::LogFile(int folder, const std::string& name, std::int64_t bound)
    : file_(::openat(folder, name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644)),
      head_left_(bound == 0 ? -1 : bound - ring_of(bound)),
      ring_(static_cast<std::size_t>(ring_of(bound))),
      tail_(log_tail_bytes_max) {}

void LogFile::append(std::string_view text) {
  tail_.append(text);
  if (head_left_ < 0) return write(text);
  const std::size_t head = std::min(text.size(), static_cast<std::size_t>(head_left_));
  write(text.substr(0, head));
  head_left_ -= static_cast<std::int64_t>(head);
  ring_.append(text.substr(head));
}

void LogFile::finish() {
  dropped_ += ring_.pushed_out();
  if (ring_.pushed_out() > 0) {
    write("\n[overnight: " + std::to_string(ring_.pushed_out()) + " bytes dropped here, limit of the log reached]\n");
  }
  write(ring_.text());
  ring_ = TailRing(0);
  file_.reset();
}

void LogFile::write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t size = file_ ? ::write(file_.get(), text.data(), text.size()) : -1;
    if (size <= 0) {
      dropped_ += static_cast<std::int64_t>(text.size());
      return;
    }
    kept_ += size;
    text.remove_prefix(static_cast<std::size_t>(size));
  }
}

std::string readable_tail(std::string_view text, std::size_t most) {
  if (text.size() > most) {
    text.remove_prefix(text.size() - most);
    const auto line = text.find('\n');
    if (line != std::string_view::npos && line + 1 < text.size()) text.remove_prefix(line + 1);
  }
  std::string out;
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    const bool control = length == 1 && (text[0] < ' ' || text[0] == '\x7f') && text[0] != '\n' && text[0] != '\t';
    if (length == 0 || control) {
      out += '?';
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(1, length));
  }
  return out;
}

}  // namespace overnight::workers
