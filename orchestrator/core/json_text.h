// Writes JSON straight into a string, without a tree in between: State's rows are written at every step, and building
// trees for them was most of what an experiment cost. A value type's fields come from OVERNIGHT_JSON in codec.h, which
// names them once for writing here and reading there.
//
// `write_json(JsonText&, const T&)` is found by argument-dependent lookup, as nlohmann's to_json is. What it writes
// reads back as the same value; bytes that are no UTF-8 are replaced.
#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

namespace overnight::core {

class JsonText {
 public:
  JsonText& begin_object() { return between(), text_ += '{', *this; }
  JsonText& end_object() { return text_ += '}', *this; }
  JsonText& begin_array() { return between(), text_ += '[', *this; }
  JsonText& end_array() { return text_ += ']', *this; }

  // A name that is plain text: no quote, no backslash.
  JsonText& name(std::string_view plain) {
    between();
    text_ += '"';
    text_ += plain;
    text_ += "\":";
    return *this;
  }
  template <typename T>
  JsonText& field(std::string_view plain, const T& value) {
    name(plain);
    write_json(*this, value);
    return *this;
  }

  void string(std::string_view value) {
    between();
    if (std::all_of(value.begin(), value.end(), [](char c) { return c >= ' ' && c < 0x7f && c != '"' && c != '\\'; })) {
      text_ += '"';
      text_ += value;
      text_ += '"';
    } else {
      escaped(value);
    }
  }
  template <typename Whole>
  void whole(Whole value) {
    between();
    char digits[24];
    text_.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
  }
  void real(double value) {
    if (!std::isfinite(value)) return raw("null");  // JSON knows no infinity
    between();
    char digits[32];
    const std::string_view shortest(
        digits, static_cast<std::size_t>(std::to_chars(digits, digits + sizeof digits, value).ptr - digits));
    text_ += shortest;
    if (shortest.find_first_of(".e") == std::string_view::npos) text_ += ".0";  // stays a real number when it is read
  }
  void colon() { text_ += ':'; }
  // Text that is JSON already.
  void raw(std::string_view json) {
    between();
    text_ += json;
  }

  std::string take() { return std::move(text_); }

 private:
  void between() {
    if (!text_.empty() && text_.back() != '{' && text_.back() != '[' && text_.back() != ':') text_ += ',';
  }
  void escaped(std::string_view value);  // codec.cc

  std::string text_;
};

inline void write_json(JsonText& out, const std::string& value) { out.string(value); }
inline void write_json(JsonText& out, bool value) { out.raw(value ? "true" : "false"); }
inline void write_json(JsonText& out, double value) { out.real(value); }
template <typename Whole>
requires(std::is_integral_v<Whole> && !std::is_same_v<Whole, bool>) void write_json(JsonText& out, Whole value) {
  out.whole(value);
}
// Ids are numbers; enums with names have an overload of their own (OVERNIGHT_JSON_ENUM).
template <typename Id>
requires std::is_enum_v<Id>
void write_json(JsonText& out, Id value) { out.whole(static_cast<std::underlying_type_t<Id>>(value)); }
template <typename T>
void write_json(JsonText& out, const std::optional<T>& value) {
  value ? write_json(out, *value) : out.raw("null");
}
template <typename... T>
void write_json(JsonText& out, const std::variant<T...>& value) {
  std::visit([&](const auto& one) { write_json(out, one); }, value);
}
template <typename List>
void write_json_list(JsonText& out, const List& values) {
  out.begin_array();
  for (const auto& value : values) write_json(out, value);
  out.end_array();
}
template <typename T>
void write_json(JsonText& out, const std::vector<T>& values) {
  write_json_list(out, values);
}
template <typename T>
void write_json(JsonText& out, const std::deque<T>& values) {
  write_json_list(out, values);
}
template <typename T>
void write_json(JsonText& out, const std::set<T>& values) {
  write_json_list(out, values);
}
// An object if the keys are text, else a list of pairs: as nlohmann reads them.
template <typename Key, typename T>
void write_json(JsonText& out, const std::map<Key, T>& values) {
  if constexpr (std::is_same_v<Key, std::string>) {
    out.begin_object();
    for (const auto& [key, value] : values) {
      out.string(key);
      out.colon();
      write_json(out, value);
    }
    out.end_object();
  } else {
    out.begin_array();
    for (const auto& [key, value] : values) {
      out.begin_array();
      write_json(out, key);
      write_json(out, value);
      out.end_array();
    }
    out.end_array();
  }
}

template <typename T>
std::string json_text(const T& value) {
  JsonText out;
  write_json(out, value);
  return out.take();
}

}  // namespace overnight::core
