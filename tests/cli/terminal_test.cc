// What reaches a terminal: hostile text is made harmless, widths are those that terminals count, words are short.
#include "orchestrator/cli/terminal.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>

namespace overnight::cli {
namespace {

TEST(Clean, MasksWhatCouldMoveACursorOrTurnOrHideText) {
  EXPECT_EQ(clean("a\x1b[2Jb", 80, true), "a?[2Jb");
  EXPECT_EQ(clean("\x1b]0;title\x07", 80, true), "?]0;title?");
  EXPECT_EQ(clean("tab\tnewline\nreturn\rdelete\x7f", 80, true), "tab newline return delete?");
  EXPECT_EQ(clean("csi \xc2\x9b"
                  "31m",
                  80, true),
            "csi ?31m")
      << "the 8-bit form of an escape sequence";
  EXPECT_EQ(clean("right-to-left \xe2\x80\xae mark", 80, true), "right-to-left ? mark");
  EXPECT_EQ(clean("zero\xe2\x80\x8bwidth \xef\xbb\xbf", 80, true), "zero?width ?");
}

TEST(Clean, MasksBytesThatAreNoUtf8) {
  EXPECT_EQ(clean("\xff\xfe", 80, true), "??");
  EXPECT_EQ(clean("cut \xe2\x82", 80, true), "cut ??");
  EXPECT_EQ(clean("overlong \xc0\xaf", 80, true), "overlong ??");
  EXPECT_EQ(clean("surrogate \xed\xa0\x80", 80, true), "surrogate ???");
}

TEST(Clean, CutsToColumnsAndMarksTheCut) {
  EXPECT_EQ(clean("abcdef", 6, true), "abcdef");
  EXPECT_EQ(clean("abcdefg", 6, true), "abcde…");
  EXPECT_EQ(clean("abcdefg", 6, false), "abcde~");
  EXPECT_EQ(clean("漢字漢字", 6, true), "漢字…");
  EXPECT_EQ(clean("漢字漢字", 8, true), "漢字漢字");
  EXPECT_EQ(clean("abc", 1, true), "…");
  EXPECT_EQ(clean("abc", 0, true), "");
}

TEST(Clean, AsksNoMoreOfAnAsciiTerminalThanAscii) { EXPECT_EQ(clean("größe ± 1", 80, false), "gr??e ? 1"); }

TEST(Clean, NeverGivesMoreColumnsThanAsked) {
  std::mt19937 random(3);
  for (int i = 0; i < 20'000; ++i) {
    std::string text(random() % 40, ' ');
    for (char& c : text) c = static_cast<char>(random());
    const std::size_t width = random() % 30;
    for (const bool utf8 : {true, false}) {
      const std::string shown = clean(text, width, utf8);
      EXPECT_LE(width_of(shown), width);
      EXPECT_EQ(clean(shown, 80, utf8), shown) << "what was cleaned is clean";
    }
  }
}

TEST(Clean, KeepsLinesAndTabsOfLogs) {
  EXPECT_EQ(clean_lines("Traceback:\n\tline\x1b[31m 3\nend"), "Traceback:\n\tline?[31m 3\nend\n");
}

TEST(Width, IsCountedAsTerminalsDo) {
  EXPECT_EQ(width_of("abc"), 3u);
  EXPECT_EQ(width_of("漢"), 2u);
  EXPECT_EQ(width_of("e\xcc\x81"), 1u) << "a letter with a mark that combines";
  EXPECT_EQ(width_of("█░"), 2u);
}

class Environment : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG", "NO_COLOR"}) {
      const char* value = std::getenv(name);
      if (value != nullptr) before_[name] = value;
      unsetenv(name);
    }
  }
  void TearDown() override {
    for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG", "NO_COLOR"}) {
      unsetenv(name);
      if (before_.contains(name)) setenv(name, before_[name].c_str(), 1);
    }
  }
  std::map<std::string, std::string> before_;
};

TEST_F(Environment, DecidesWhetherUtf8IsSpoken) {
  EXPECT_FALSE(look_of(1).utf8);
  setenv("LANG", "de_DE.UTF-8", 1);
  EXPECT_TRUE(look_of(1).utf8);
  setenv("LC_ALL", "C", 1);
  EXPECT_FALSE(look_of(1).utf8) << "LC_ALL stands above LANG";
  setenv("LC_ALL", "en_US.utf8", 1);
  EXPECT_TRUE(look_of(1).utf8);
}

TEST(Words, AreShortAndExact) {
  EXPECT_EQ(duration_words(-5), "0 ms");
  EXPECT_EQ(duration_words(999), "999 ms");
  EXPECT_EQ(duration_words(1500), "1.5 s");
  EXPECT_EQ(duration_words(59'999), "59 s");
  EXPECT_EQ(duration_words(61'000), "1 min 01 s");
  EXPECT_EQ(duration_words(3'600'000), "1 h 00 min");
  EXPECT_EQ(bytes_words(1536), "1.5 KiB");
  EXPECT_EQ(count_words(1'500'000, "micro-USD"), "$1.50");
}

TEST(Table, AlignsByWhatIsSeen) {
  EXPECT_EQ(table({"name", "n"}, {{"größe", "1"}, {"x", "10"}}), "name   n\ngröße   1\nx      10\n");
}

TEST(Nearest, FindsSlipsAndPartsAndNothingElse) {
  const std::vector<std::string> known{"2026-11-24-small-3fa9c1", "2026-11-23-large-77aa00"};
  EXPECT_EQ(nearest("2026-11-24-smal-3fa9c1", known), known[0]);
  EXPECT_EQ(nearest("large", known), known[1]);
  EXPECT_EQ(nearest("77aa00", known), known[1]);
  EXPECT_EQ(nearest("something else", known), "");
  EXPECT_EQ(nearest("", known), "");
}

}  // namespace
}  // namespace overnight::cli
