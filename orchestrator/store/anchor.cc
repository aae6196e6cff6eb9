#include "orchestrator/store/anchor.h"

#include <fmt/format.h>

#include <charconv>

#include "orchestrator/store/fields.h"

namespace overnight::store {
namespace {

constexpr std::size_t anchor_bytes_max = 256;  // two short lines and a hash
constexpr std::string_view anchor_head = "overnight.head.v1\n";

std::optional<Anchor> parse(std::string_view text) {
  if (!text.starts_with(anchor_head)) return std::nullopt;
  text.remove_prefix(anchor_head.size());
  Anchor anchor;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), anchor.seq);
  if (failed != std::errc{} || anchor.seq < 0) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (text.size() != 66 || text.front() != '\n' || text.back() != '\n') return std::nullopt;
  anchor.hash = text.substr(1, 64);
  SetHash hexadecimal;
  if (!hexadecimal.read(anchor.hash)) return std::nullopt;
  return anchor;
}

}  // namespace

Stored<void> write_anchor(const HomePaths& paths, const Anchor& anchor) {
  return write_whole(paths.anchor, fmt::format("{}{}\n{}\n", anchor_head, anchor.seq, anchor.hash));
}

Stored<std::optional<Anchor>> read_anchor(const HomePaths& paths) {
  const Stored<std::optional<std::string>> text = read_whole(paths.anchor, anchor_bytes_max);
  if (!text) return budgets::unexpected(text.error());
  if (!*text) return std::nullopt;
  const std::optional<Anchor> anchor = parse(**text);
  if (!anchor) return budgets::unexpected(corrupt(paths.anchor, "it is no anchor of a journal"));
  return anchor;
}

}  // namespace overnight::store
