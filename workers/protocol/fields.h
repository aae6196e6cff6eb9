// How this folder's types become JSON and back. Each type lists its fields once, in `describe(visitor, value)`; Writer
// and Reader visit that list. The Reader is strict: a field that is missing, unknown, given twice, of the wrong type or
// over its bound is refused, with its place ("phases[1].timeout_ms"). Only .cc files of this folder include this:
// nlohmann/json is heavy. Inside the folder a refusal travels as the exception Refused; `parsed` turns it into a
// Result.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "workers/protocol/order.h"

namespace overnight::workers {

inline constexpr std::size_t json_depth_max = 8;         // our deepest type nests 6
inline constexpr std::size_t elements_max = 4096;        // of any list or map: more environment than any machine has
inline constexpr std::size_t string_bytes_max = 131072;  // the kernel's own limit for one argument (MAX_ARG_STRLEN)

struct Refused : std::runtime_error {
  Refused(const std::string& where, const std::string& why) : std::runtime_error(where + ": " + why) {}
};

template <typename T>
concept Described = requires(T& value, int& visitor) {
  describe(visitor, value);
};

class Writer {
 public:
  template <typename T>
  void operator()(const char* key, const T& value) {
    out_[key] = json_of(value);
  }
  // A list that is left out where it is empty.
  template <typename T>
  void unless_empty(const char* key, const std::vector<T>& values) {
    if (!values.empty()) out_[key] = json_of(values);
  }
  nlohmann::json take() { return std::move(out_); }

  template <typename T>
  static nlohmann::json json_of(const T& value) {
    if constexpr (std::is_enum_v<T>) {
      return std::string(name_of(value));
    } else if constexpr (Described<T>) {
      T copy = value;  // `describe` is one function for both ways and takes the value to be read into
      Writer nested;
      describe(nested, copy);
      return nested.take();
    } else {
      return value;
    }
  }
  template <typename T>
  static nlohmann::json json_of(const std::vector<T>& values) {
    auto list = nlohmann::json::array();
    for (const T& value : values) list.push_back(json_of(value));
    return list;
  }
  template <typename T>
  static nlohmann::json json_of(const std::map<std::string, T>& values) {
    auto object = nlohmann::json::object();
    for (const auto& [key, value] : values) object[key] = json_of(value);
    return object;
  }

 private:
  nlohmann::json out_ = nlohmann::json::object();
};

inline void enum_from(std::string_view name, Phase& out, const std::string& where) {
  const auto found = phase_named(name);
  if (!found) throw Refused(where, "no phase has this name (build, train, evaluate)");
  out = *found;
}
inline void enum_from(std::string_view name, Cause& out, const std::string& where) {
  const auto found = cause_named(name);
  if (!found) throw Refused(where, "no cause has this name");
  out = *found;
}
inline void enum_from(std::string_view name, StopLevel& out, const std::string& where) {
  const auto found = stop_level_named(name);
  if (!found) throw Refused(where, "no stop level has this name (drain, kill)");
  out = *found;
}

class Reader {
 public:
  Reader(const nlohmann::json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object_.is_object()) throw Refused(where_.empty() ? "the text" : where_, "must be a JSON object");
  }

  template <typename T>
  void operator()(const char* key, T& value) {
    const auto found = object_.find(key);
    if (found == object_.end()) throw Refused(at(key), "is missing");
    ++seen_;
    known_.insert(key);
    read(*found, value, at(key));
  }

  // May be missing: what came later than the first version is not in what older ones wrote.
  template <typename T>
  void unless_empty(const char* key, std::vector<T>& values) {
    if (object_.contains(key)) (*this)(key, values);
  }

  // Call after the last field: what was not asked for is unknown.
  void finish() const {
    if (seen_ == object_.size()) return;
    for (const auto& [key, value] : object_.items()) {
      if (!known_.contains(key)) throw Refused(at(key.substr(0, 64)), "is not a known field");
    }
  }

  static void read(const nlohmann::json& j, nlohmann::json& out, const std::string&) { out = j; }
  static void read(const nlohmann::json& j, bool& out, const std::string& where) {
    if (!j.is_boolean()) throw Refused(where, "must be true or false");
    out = j.get<bool>();
  }
  static void read(const nlohmann::json& j, std::int64_t& out, const std::string& where) {
    if (!j.is_number_integer()) throw Refused(where, "must be a whole number");
    if (j.is_number_unsigned() && j.get<std::uint64_t>() > std::uint64_t{INT64_MAX}) {
      throw Refused(where, "is larger than 64 bits hold");
    }
    out = j.get<std::int64_t>();
  }
  static void read(const nlohmann::json& j, int& out, const std::string& where) {
    std::int64_t wide = 0;
    read(j, wide, where);
    if (wide < std::numeric_limits<int>::min() || wide > std::numeric_limits<int>::max()) {
      throw Refused(where, "is larger than 32 bits hold");
    }
    out = static_cast<int>(wide);
  }
  static void read(const nlohmann::json& j, double& out, const std::string& where) {
    if (!j.is_number()) throw Refused(where, "must be a number");
    out = j.get<double>();
    if (!std::isfinite(out)) throw Refused(where, "must be finite");
  }
  static void read(const nlohmann::json& j, std::string& out, const std::string& where) {
    if (!j.is_string()) throw Refused(where, "must be a text");
    const auto& text = j.get_ref<const std::string&>();
    if (text.size() > string_bytes_max) throw Refused(where, "is longer than 131072 bytes");
    if (text.find('\0') != std::string::npos) throw Refused(where, "contains a NUL");
    out = text;
  }
  template <typename T>
  requires std::is_enum_v<T>
  static void read(const nlohmann::json& j, T& out, const std::string& where) {
    std::string name;
    read(j, name, where);
    enum_from(name, out, where);
  }
  template <Described T>
  static void read(const nlohmann::json& j, T& out, const std::string& where) {
    Reader nested(j, where);
    describe(nested, out);
    nested.finish();
  }
  template <typename T>
  static void read(const nlohmann::json& j, std::vector<T>& out, const std::string& where) {
    if (!j.is_array()) throw Refused(where, "must be a list");
    if (j.size() > elements_max) throw Refused(where, "has more than 4096 elements");
    out.clear();
    for (std::size_t i = 0; i < j.size(); ++i) {
      read(j[i], out.emplace_back(), where + "[" + std::to_string(i) + "]");
    }
  }
  template <typename T>
  static void read(const nlohmann::json& j, std::map<std::string, T>& out, const std::string& where) {
    if (!j.is_object()) throw Refused(where, "must be an object");
    if (j.size() > elements_max) throw Refused(where, "has more than 4096 elements");
    out.clear();
    for (const auto& [key, value] : j.items()) {
      if (key.find('\0') != std::string::npos) throw Refused(where, "has a name that contains a NUL");
      read(value, out[key], where + "." + key.substr(0, 64));
    }
  }

 private:
  std::string at(const std::string& key) const { return where_.empty() ? key : where_ + "." + key; }

  const nlohmann::json& object_;
  std::string where_;
  std::size_t seen_ = 0;
  std::set<std::string> known_;
};

template <typename T>
std::string dumped(const T& value) {
  return Writer::json_of(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// nlohmann keeps the last of two equal keys silently; we refuse them, and depth, while parsing.
inline nlohmann::json parse_strictly(std::string_view text, std::size_t bytes_max) {
  if (text.size() > bytes_max) throw Refused("the text", "is longer than " + std::to_string(bytes_max) + " bytes");
  std::vector<std::set<std::string>> open;
  const auto check = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    if (static_cast<std::size_t>(depth) > json_depth_max) throw Refused("the text", "is nested too deep");
    if (event == Event::object_start) open.emplace_back();
    if (event == Event::object_end && !open.empty()) open.pop_back();
    if (event == Event::key && !open.empty()) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!open.back().insert(key).second) throw Refused(key.substr(0, 64), "is given twice");
    }
    return true;
  };
  return nlohmann::json::parse(text, check);
}

// Runs `read`, which may throw Refused or nlohmann's exceptions, and says in a Result what went wrong.
template <typename T, typename Read>
budgets::Result<T, ProtocolError> parsed(Read read) {
  try {
    return read();
  } catch (const nlohmann::json::exception& error) {
    return budgets::unexpected(ProtocolError{"not valid JSON: " + std::string(error.what()).substr(0, 256)});
  } catch (const Refused& refused) {
    return budgets::unexpected(ProtocolError{refused.what()});
  }
}

}  // namespace overnight::workers
