#include "workers/corpus/tokenizer.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <queue>

#include "budgets/invariant.h"

namespace overnight::workers {
namespace {

constexpr std::size_t digits_max = 3;
constexpr std::size_t remembered_max = 1 << 16;  // pieces whose tokens one call of encode keeps

enum class Kind { letter, digit, sign, space, line_end };

Kind kind_of(char c) {
  const auto byte = static_cast<unsigned char>(c);
  if (byte == '\n' || byte == '\r') return Kind::line_end;
  if (byte == ' ' || byte == '\t' || byte == '\v' || byte == '\f') return Kind::space;
  if (byte >= '0' && byte <= '9') return Kind::digit;
  const bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte >= 128;
  return letter ? Kind::letter : Kind::sign;
}

// The piece of text that begins at `from`. INVARIANT from < text.size().
std::string_view piece_at(std::string_view text, std::size_t from) {
  std::size_t at = from;
  Kind kind = kind_of(text[at]);
  const bool led = text[at] == ' ' && at + 1 < text.size() && kind_of(text[at + 1]) != Kind::space &&
                   kind_of(text[at + 1]) != Kind::line_end;
  if (led) kind = kind_of(text[++at]);
  const std::size_t most = led ? piece_bytes_max - 1 : piece_bytes_max;
  const std::size_t end = std::min(text.size(), at + (kind == Kind::digit ? digits_max : most));
  while (at < end && kind_of(text[at]) == kind) ++at;
  // Of several blanks the last leads the next word.
  if (kind == Kind::space && at < text.size() && at - from > 1 && text[at - 1] == ' ' &&
      kind_of(text[at]) != Kind::line_end && kind_of(text[at]) != Kind::space)
    --at;
  return text.substr(from, at - from);
}

std::uint64_t key_of(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
}

// A piece of text and how often it comes.
struct Word {
  std::vector<std::int32_t> tokens;
  std::int64_t count = 0;
};

std::vector<Word> words_of(const std::vector<std::string_view>& texts) {
  std::unordered_map<std::string_view, std::int64_t> counts;
  for (const std::string_view text : texts) {
    for (const std::string_view piece : pieces_of(text)) ++counts[piece];
  }
  std::vector<std::pair<std::string_view, std::int64_t>> ordered(counts.begin(), counts.end());
  std::sort(ordered.begin(), ordered.end());  // the order of a hash table must not show
  std::vector<Word> words;
  for (const auto& [piece, count] : ordered) {
    Word word{{}, count};
    for (const char c : piece) word.tokens.push_back(static_cast<unsigned char>(c));
    words.push_back(std::move(word));
  }
  return words;
}

// How often each pair of neighbours comes, and in which words, kept up to date while pairs are joined.
class PairCounts {
 public:
  explicit PairCounts(std::vector<Word> words) : words_(std::move(words)) {
    for (std::size_t w = 0; w < words_.size(); ++w) {
      change(w, 1);
      touched_.clear();
    }
    for (const auto& [key, pair] : pairs_) offer(key, pair.count);
  }

  // The most frequent pair, as its key; none if no pair comes twice.
  std::optional<std::uint64_t> most_frequent() {
    while (!queue_.empty()) {
      const Offer offered = queue_.top();
      const std::int64_t now = pairs_[offered.key].count;
      if (now == offered.count && now >= 2) return offered.key;
      queue_.pop();
      if (now >= 2 && now < offered.count) offer(offered.key, now);  // it became rarer since
    }
    return std::nullopt;
  }

  void join(std::uint64_t key, std::int32_t token) {
    touched_.clear();
    std::vector<std::uint32_t> in = std::move(pairs_[key].words);
    std::sort(in.begin(), in.end());
    in.erase(std::unique(in.begin(), in.end()), in.end());
    for (const std::size_t w : in) {
      change(w, -1);
      replace(words_[w].tokens, key, token);
      change(w, 1);
    }
    pairs_[key] = {};
    std::sort(touched_.begin(), touched_.end());  // the order of offers must not show
    touched_.erase(std::unique(touched_.begin(), touched_.end()), touched_.end());
    for (const std::uint64_t other : touched_) offer(other, pairs_[other].count);
  }

 private:
  struct Counted {
    std::int64_t count = 0;
    std::vector<std::uint32_t> words;  // in which it came once; some may stand here twice, or have lost it
  };
  struct Offer {
    std::int64_t count = 0;
    std::uint64_t key = 0;
    bool operator<(const Offer& other) const { return count != other.count ? count < other.count : key > other.key; }
  };

  void offer(std::uint64_t key, std::int64_t count) {
    if (count >= 2) queue_.push({count, key});
  }

  void change(std::size_t w, std::int64_t sign) {
    const Word& word = words_[w];
    for (std::size_t i = 0; i + 1 < word.tokens.size(); ++i) {
      const std::uint64_t key = key_of(word.tokens[i], word.tokens[i + 1]);
      Counted& pair = pairs_[key];
      pair.count += sign * word.count;
      const auto place = static_cast<std::uint32_t>(w);
      if (sign > 0 && (pair.words.empty() || pair.words.back() != place)) pair.words.push_back(place);
      touched_.push_back(key);
    }
  }

  static void replace(std::vector<std::int32_t>& tokens, std::uint64_t key, std::int32_t token) {
    std::size_t to = 0;
    for (std::size_t from = 0; from < tokens.size(); ++from, ++to) {
      const bool here = from + 1 < tokens.size() && key_of(tokens[from], tokens[from + 1]) == key;
      tokens[to] = here ? token : tokens[from];
      if (here) ++from;
    }
    tokens.resize(to);
  }

  std::vector<Word> words_;
  std::unordered_map<std::uint64_t, Counted> pairs_;
  std::priority_queue<Offer> queue_;  // may hold what is no longer so; most_frequent looks again
  std::vector<std::uint64_t> touched_;
};

}  // namespace

std::vector<std::size_t> token_bytes_of(const Tokenizer& tokenizer) {
  std::vector<std::size_t> sizes;
  for (std::int64_t token = 0; token < tokenizer.vocabulary(); ++token)
    sizes.push_back(tokenizer.bytes_of(static_cast<std::int32_t>(token)).size());
  return sizes;
}

budgets::Result<Tokenizer, std::string> read_tokenizer(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::string text(tokenizer_file_bytes_max + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, in.gcount())));
  if (!in.is_open() || in.bad()) return budgets::unexpected(file.string() + ": cannot be read");
  if (text.size() > tokenizer_file_bytes_max)
    return budgets::unexpected(file.string() + ": is no tokenizer, it is too long");
  auto read = Tokenizer::from_text(text);
  if (!read) return budgets::unexpected(file.string() + ": " + read.error());
  return read;
}

std::vector<std::string_view> pieces_of(std::string_view text) {
  std::vector<std::string_view> pieces;
  for (std::size_t at = 0; at < text.size(); at += pieces.back().size()) pieces.push_back(piece_at(text, at));
  return pieces;
}

Tokenizer::Tokenizer() {
  for (int byte = 0; byte < 256; ++byte) bytes_.emplace_back(1, static_cast<char>(byte));
  bytes_.emplace_back();
}

void Tokenizer::join(Pair pair) {
  token_of_.emplace(key_of(pair.left, pair.right), static_cast<std::int32_t>(bytes_.size()));
  bytes_.push_back(bytes_of(pair.left) + bytes_of(pair.right));
  joined_.push_back(pair);
}

Tokenizer Tokenizer::trained(const std::vector<std::string_view>& texts, std::int64_t vocabulary,
                             const Stopped& stopped) {
  INVARIANT(vocabulary >= byte_vocabulary && vocabulary <= vocabulary_max, "a vocabulary holds the bytes");
  Tokenizer made;
  if (vocabulary == byte_vocabulary) return made;
  PairCounts counts(words_of(texts));
  while (made.vocabulary() < vocabulary && !(stopped && stopped())) {
    const auto key = counts.most_frequent();
    if (!key) break;
    counts.join(*key, static_cast<std::int32_t>(made.vocabulary()));
    made.join({static_cast<std::int32_t>(*key >> 32), static_cast<std::int32_t>(*key & 0xffffffff)});
  }
  return made;
}

std::string Tokenizer::to_text() const {
  std::string text;
  for (const Pair& pair : joined_) text += std::to_string(pair.left) + " " + std::to_string(pair.right) + "\n";
  return text;
}

budgets::Result<Tokenizer, std::string> Tokenizer::from_text(std::string_view text) {
  Tokenizer read;
  for (std::size_t line = 1; !text.empty(); ++line) {
    const auto refused = [&](const std::string& why) {
      return budgets::unexpected("line " + std::to_string(line) + " of the tokenizer " + why);
    };
    if (read.vocabulary() == vocabulary_max) return refused("is one token too many");
    const char* const end = text.data() + text.size();
    Pair pair;
    const auto left = std::from_chars(text.data(), end, pair.left);
    if (left.ec != std::errc() || left.ptr == end || *left.ptr != ' ') return refused("is not \"LEFT RIGHT\"");
    const auto right = std::from_chars(left.ptr + 1, end, pair.right);
    if (right.ec != std::errc() || right.ptr == end || *right.ptr != '\n') return refused("is not \"LEFT RIGHT\"");
    for (const std::int32_t token : {pair.left, pair.right}) {
      if (token < 0 || token >= read.vocabulary() || token == document_start)
        return refused("joins " + std::to_string(token) + ", which is no token that was there before");
    }
    if (read.bytes_of(pair.left).size() + read.bytes_of(pair.right).size() > piece_bytes_max)
      return refused("joins more than " + std::to_string(piece_bytes_max) + " bytes");
    if (read.token_of_.contains(key_of(pair.left, pair.right))) return refused("joins a pair a second time");
    read.join(pair);
    text.remove_prefix(static_cast<std::size_t>(right.ptr + 1 - text.data()));
  }
  return read;
}

// Joins, of the neighbours that can be joined, those that were joined first in training: as training did it.
void Tokenizer::encode_piece(std::string_view piece, std::vector<std::int32_t>& tokens) const {
  const std::size_t begin = tokens.size();
  for (const char c : piece) tokens.push_back(static_cast<unsigned char>(c));
  while (tokens.size() - begin > 1) {
    std::size_t best = 0;
    std::int32_t first = INT32_MAX;
    for (std::size_t i = begin; i + 1 < tokens.size(); ++i) {
      const auto found = token_of_.find(key_of(tokens[i], tokens[i + 1]));
      if (found != token_of_.end() && found->second < first) first = found->second, best = i;
    }
    if (first == INT32_MAX) break;
    tokens[best] = first;
    tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

void Tokenizer::encode(std::string_view text, std::vector<std::int32_t>& tokens) const {
  if (joined_.empty()) {
    for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
    return;
  }
  std::unordered_map<std::string_view, std::vector<std::int32_t>> remembered;
  std::vector<std::int32_t> fresh;
  std::string_view piece;  // one after the other: all of them would take more memory than the text
  for (std::size_t at = 0; at < text.size(); at += piece.size()) {
    piece = piece_at(text, at);
    const auto found = remembered.find(piece);
    if (found != remembered.end()) {
      tokens.insert(tokens.end(), found->second.begin(), found->second.end());
      continue;
    }
    fresh.clear();
    encode_piece(piece, fresh);
    tokens.insert(tokens.end(), fresh.begin(), fresh.end());
    if (remembered.size() < remembered_max) remembered.emplace(piece, fresh);
  }
}

}  // namespace overnight::workers
