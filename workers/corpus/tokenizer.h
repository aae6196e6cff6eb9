// Text as tokens: bytes, or byte-pair encoding over them (Sennrich, Haddow, Birch 2016; over raw bytes as in GPT-2).
//
// Tokens 0 to 255 are the bytes, 256 is the start of a document and stands for no byte, and each further token is two
// earlier ones joined. So every token has its bytes, any text can be encoded, and the bytes of a text's tokens are the
// text again, whatever it holds: no score can be flattered by how a token is written. Text is cut into pieces before
// anything is joined (pieces_of): a token never spans two words.
//
// A value; the same texts give the same tokenizer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "budgets/result.h"
#include "workers/model/config.h"

namespace overnight::workers {

inline constexpr std::int64_t vocabulary_max = 65'536;
inline constexpr std::size_t piece_bytes_max = 48;  // a longer word is cut: joining costs the square of it

// Asked between two pieces of a long work, whether it is to end. None: it is not.
using Stopped = std::function<bool()>;

class Tokenizer {
 public:
  Tokenizer();  // bytes alone

  // Joins the most frequent pair of neighbours, again and again, up to `vocabulary` tokens; ends early where no pair
  // comes twice. Equally frequent pairs: the one with the lower tokens first.
  // Once `stopped` says so, what was joined so far is all.
  // INVARIANT byte_vocabulary <= vocabulary <= vocabulary_max.
  static Tokenizer trained(const std::vector<std::string_view>& texts, std::int64_t vocabulary,
                           const Stopped& stopped = {});

  // What to_text wrote: a line "LEFT RIGHT" for each token from 257 on. What is anything else is refused with its line.
  static budgets::Result<Tokenizer, std::string> from_text(std::string_view text);
  std::string to_text() const;

  std::int64_t vocabulary() const { return static_cast<std::int64_t>(bytes_.size()); }
  const std::string& bytes_of(std::int32_t token) const { return bytes_.at(static_cast<std::size_t>(token)); }

  // Appends the tokens of `text`, without a document_start.
  void encode(std::string_view text, std::vector<std::int32_t>& tokens) const;

  bool operator==(const Tokenizer& other) const { return joined_ == other.joined_; }

 private:
  struct Pair {
    std::int32_t left = 0, right = 0;
    bool operator==(const Pair&) const = default;
  };

  void join(Pair pair);
  void encode_piece(std::string_view piece, std::vector<std::int32_t>& tokens) const;

  std::vector<std::string> bytes_;
  std::vector<Pair> joined_;                                  // of token byte_vocabulary + i
  std::unordered_map<std::uint64_t, std::int32_t> token_of_;  // of a pair of neighbours
};

// How many bytes each token stands for; none for document_start.
std::vector<std::size_t> token_bytes_of(const Tokenizer& tokenizer);

// What to_text wrote, from a file of at most tokenizer_file_bytes_max.
inline constexpr std::size_t tokenizer_file_bytes_max = 2 << 20;
budgets::Result<Tokenizer, std::string> read_tokenizer(const std::filesystem::path& file);

// Where text is cut: a word (letters, and all bytes from 128 on) or a run of up to three digits or of signs, each with
// the one space before it; a run of line ends; a run of other blanks. The pieces joined are the text.
std::vector<std::string_view> pieces_of(std::string_view text);

}  // namespace overnight::workers
