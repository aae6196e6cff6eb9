#include "orchestrator/store/fields.h"

#include <charconv>

namespace overnight::store {
namespace {

template <typename Number>
std::string decimal(Number number) {
  std::array<char, 32> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number).ptr;
  return {buffer.data(), end};
}

void frame(std::string& bytes, char type, std::string_view text) {
  bytes += type;
  bytes += decimal(text.size());
  bytes += ':';
  bytes += text;
}

void frame_value(std::string& bytes, const Value& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    frame(bytes, 'i', decimal(*integer));
  } else if (const auto* real = std::get_if<double>(&value)) {
    frame(bytes, 'd', decimal(*real == 0 ? 0.0 : *real));  // SQLite does not keep the sign of a zero
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    frame(bytes, 't', *text);
  } else if (const auto* view = std::get_if<std::string_view>(&value)) {
    frame(bytes, 't', *view);
  } else {
    frame(bytes, 'n', "");
  }
}

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

core::Digest digest_of(std::string_view domain, const Fields& fields) {
  std::string bytes(domain);
  for (const Value& value : fields) frame_value(bytes, value);
  return core::sha256(bytes);
}

void SetHash::add(const core::Digest& digest) {
  int carry = 0;
  for (std::size_t i = 0; i < sum_.size(); ++i) {
    const int total = sum_[i] + digest[i] + carry;
    sum_[i] = static_cast<std::uint8_t>(total & 255);
    carry = total >> 8;
  }
}

void SetHash::remove(const core::Digest& digest) {
  int borrow = 0;
  for (std::size_t i = 0; i < sum_.size(); ++i) {
    const int difference = sum_[i] - digest[i] - borrow;
    sum_[i] = static_cast<std::uint8_t>(difference & 255);
    borrow = difference < 0 ? 1 : 0;
  }
}

bool SetHash::read(std::string_view hex) {
  if (hex.size() != sum_.size() * 2) return false;
  for (std::size_t i = 0; i < sum_.size(); ++i) {
    const int high = digit_of(hex[2 * i]);
    const int low = digit_of(hex[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    sum_[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return true;
}

}  // namespace overnight::store
