// Tokens stand for bytes, and the bytes come back, whatever the text.
#include "workers/corpus/tokenizer.h"

#include <gtest/gtest.h>

#include <random>

namespace overnight::workers {
namespace {

std::string decoded(const Tokenizer& tokenizer, const std::vector<std::int32_t>& tokens) {
  std::string text;
  for (const std::int32_t token : tokens) text += tokenizer.bytes_of(token);
  return text;
}

std::vector<std::int32_t> encoded(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::int32_t> tokens;
  tokenizer.encode(text, tokens);
  return tokens;
}

const std::string speech =
    "Fellow citizens of the Senate and of the House: the state of the union, in 1790 as in 2021, is\n"
    "the state of the citizens.  The Senate said so; the House, the union and the citizens said so too.\n";

TEST(Tokenizer, OfBytesIsTheBytes) {
  const Tokenizer bytes;
  EXPECT_EQ(bytes.vocabulary(), byte_vocabulary);
  EXPECT_EQ(encoded(bytes, "a\xff"), (std::vector<std::int32_t>{'a', 255}));
  EXPECT_EQ(bytes.bytes_of(document_start), "");
}

TEST(Tokenizer, CutsTextIntoWordsNumbersSignsAndBlanks) {
  const auto cut = [](std::string_view text) {
    std::vector<std::string> pieces;
    for (const auto piece : pieces_of(text)) pieces.emplace_back(piece);
    return pieces;
  };
  EXPECT_EQ(cut("The House, in 12345"), (std::vector<std::string>{"The", " House", ",", " in", " 123", "45"}));
  EXPECT_EQ(cut("a  b\t\tc"), (std::vector<std::string>{"a", " ", " b", "\t\t", "c"}));
  EXPECT_EQ(cut("a \n\nb"), (std::vector<std::string>{"a", " ", "\n\n", "b"}));
  EXPECT_EQ(cut("caf\xc3\xa9 au"), (std::vector<std::string>{"caf\xc3\xa9", " au"}));
  EXPECT_EQ(cut(std::string(100, 'x')).size(), 3u);
}

TEST(Tokenizer, JoinsTheMostFrequentPairFirst) {
  const Tokenizer made = Tokenizer::trained({"ab ab ab abc abc bc"}, 260);
  ASSERT_EQ(made.vocabulary(), 260);
  EXPECT_EQ(made.bytes_of(257), "ab");    // five times
  EXPECT_EQ(made.bytes_of(258), " ab");   // four times
  EXPECT_EQ(made.bytes_of(259), " abc");  // twice
  EXPECT_EQ(encoded(made, " abc ab"), (std::vector<std::int32_t>{259, 258}));
}

TEST(Tokenizer, EndsWhereNoPairComesTwice) {
  EXPECT_EQ(Tokenizer::trained({"abcdefg"}, 1000).vocabulary(), byte_vocabulary);
  EXPECT_LT(Tokenizer::trained({speech}, 65'536).vocabulary(), 400);
}

TEST(Tokenizer, GivesBackEveryTextAndMakesItShorter) {
  const Tokenizer made = Tokenizer::trained({speech}, 320);
  EXPECT_EQ(decoded(made, encoded(made, speech)), speech);
  EXPECT_LT(encoded(made, speech).size(), speech.size() / 2);
  std::mt19937 random(20261128);
  for (int round = 0; round < 200; ++round) {
    std::string text;
    for (std::size_t i = random() % 300; i > 0; --i)
      text += round % 2 == 0 ? static_cast<char>(random()) : speech[random() % speech.size()];
    ASSERT_EQ(decoded(made, encoded(made, text)), text) << round;
    std::string joined;
    for (const auto piece : pieces_of(text)) joined += piece;
    ASSERT_EQ(joined, text);
  }
}

TEST(Tokenizer, IsTheSameForTheSameTextsAndComesBackFromItsFile) {
  const Tokenizer made = Tokenizer::trained({speech, "more of the union"}, 300);
  EXPECT_EQ(made, Tokenizer::trained({speech, "more of the union"}, 300));
  const auto read = Tokenizer::from_text(made.to_text());
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(*read, made);
  EXPECT_EQ(encoded(*read, speech), encoded(made, speech));
  EXPECT_EQ(Tokenizer::from_text("").value(), Tokenizer());
}

TEST(Tokenizer, RefusesAFileThatIsNone) {
  const auto why = [](std::string_view text) { return Tokenizer::from_text(text).error(); };
  EXPECT_EQ(why("97 98"), "line 1 of the tokenizer is not \"LEFT RIGHT\"");
  EXPECT_EQ(why("97 98\n97  99\n"), "line 2 of the tokenizer is not \"LEFT RIGHT\"");
  EXPECT_EQ(why("x\n"), "line 1 of the tokenizer is not \"LEFT RIGHT\"");
  EXPECT_EQ(why("97 257\n"), "line 1 of the tokenizer joins 257, which is no token that was there before");
  EXPECT_EQ(why("-1 97\n"), "line 1 of the tokenizer joins -1, which is no token that was there before");
  EXPECT_EQ(why("256 97\n"), "line 1 of the tokenizer joins 256, which is no token that was there before");
  EXPECT_EQ(why("97 98\n97 98\n"), "line 2 of the tokenizer joins a pair a second time");
  std::string doubling = "97 97\n";
  for (int token = 257; token < 262; ++token) doubling += std::to_string(token) + " " + std::to_string(token) + "\n";
  EXPECT_EQ(why(doubling), "line 6 of the tokenizer joins more than 48 bytes");
}

}  // namespace
}  // namespace overnight::workers
