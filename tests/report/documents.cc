#include "documents.h"

#include <algorithm>
#include <cctype>
#include <set>

namespace overnight::report {
namespace {

bool is_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == ':'; }

std::string here(std::string_view text, std::size_t at) {
  return " at " + std::to_string(at) + ": " + std::string(text.substr(at > 40 ? at - 40 : 0, 100));
}

// At an ampersand: the length of the entity, 0 if it is none.
std::size_t entity(std::string_view text, std::size_t at) {
  const std::size_t end = text.find(';', at);
  if (end == std::string_view::npos || end - at > 8 || end - at < 2) return 0;
  for (std::size_t i = at + 1; i < end; ++i) {
    if (!is_name(text[i]) && text[i] != '#') return 0;
  }
  return end - at + 1;
}

}  // namespace

std::string what_is_wrong_with_html(std::string_view text) {
  static const std::set<std::string> empty_elements{"meta", "br", "link", "img", "hr", "input"};
  std::vector<std::string> open;
  std::size_t at = 0;
  if (text.starts_with("<!doctype html>")) at = 15;
  while (at < text.size()) {
    const char c = text[at];
    if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') return "a control character" + here(text, at);
    if (c == '&') {
      const std::size_t length = entity(text, at);
      if (length == 0) return "a bare &" + here(text, at);
      at += length;
      continue;
    }
    if (c == '>') {
      if (open.empty() || open.back() != "style") return "a bare >" + here(text, at);
    }
    if (c != '<') {
      ++at;
      continue;
    }
    const bool closing = text.substr(at, 2) == "</";
    std::size_t i = at + (closing ? 2 : 1);
    const std::size_t name_at = i;
    while (i < text.size() && is_name(text[i])) ++i;
    const std::string name(text.substr(name_at, i - name_at));
    if (name.empty()) return "a bare <" + here(text, at);
    if (closing) {
      if (i >= text.size() || text[i] != '>') return "a broken closing tag" + here(text, at);
      if (open.empty() || open.back() != name) return "</" + name + "> closes nothing" + here(text, at);
      open.pop_back();
      at = i + 1;
      continue;
    }
    bool self_closed = false;
    while (true) {
      while (i < text.size() && (text[i] == ' ' || text[i] == '\n')) ++i;
      if (i >= text.size()) return "an unfinished tag" + here(text, at);
      if (text[i] == '>') break;
      if (text.substr(i, 2) == "/>") {
        self_closed = true;
        ++i;
        break;
      }
      const std::size_t attribute = i;
      while (i < text.size() && is_name(text[i])) ++i;
      if (i == attribute) return "a broken attribute" + here(text, i);
      const std::string attribute_name(text.substr(attribute, i - attribute));
      if (attribute_name.starts_with("on") || attribute_name == "href" || attribute_name == "src")
        return "an attribute " + attribute_name + here(text, i);
      if (text.substr(i, 2) != "=\"") return "an unquoted attribute" + here(text, i);
      i += 2;
      while (i < text.size() && text[i] != '"') {
        if (text[i] == '<' || (text[i] == '&' && entity(text, i) == 0)) return "markup in an attribute" + here(text, i);
        ++i;
      }
      ++i;
    }
    if (name == "script" || name == "iframe" || name == "img" || name == "link")
      return "an element " + name + here(text, at);
    if (!self_closed && !empty_elements.contains(name)) open.push_back(name);
    at = i + 1;
  }
  return open.empty() ? "" : "<" + open.back() + "> is never closed";
}

std::vector<std::vector<std::string>> read_csv(std::string_view text) {
  std::vector<std::vector<std::string>> rows(1);
  std::string field;
  bool quoted = false, was_quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c != '"') {
        field.push_back(c);
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        field.push_back('"');
        ++i;
      } else {
        quoted = false, was_quoted = true;
      }
    } else if (c == '"') {
      if (!field.empty() || was_quoted) return {{"error: a quote within a field"}};
      quoted = true;
    } else if (c == ',') {
      rows.back().push_back(std::move(field));
      field.clear(), was_quoted = false;
    } else if (text.substr(i, 2) == "\r\n") {
      rows.back().push_back(std::move(field));
      field.clear(), was_quoted = false;
      rows.emplace_back();
      ++i;
    } else if (c == '\n' || c == '\r' || was_quoted) {
      return {{"error: a stray character in row " + std::to_string(rows.size())}};
    } else {
      field.push_back(c);
    }
  }
  if (quoted || !rows.back().empty() || !field.empty()) return {{"error: the last row is not ended"}};
  rows.pop_back();
  return rows;
}

}  // namespace overnight::report
