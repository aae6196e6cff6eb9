#include "workers/protocol/pattern.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <regex>

namespace overnight::workers {
namespace {

// What the first group (or the whole) matched; "-" for no match, "!" for a refused pattern.
std::string found(std::string_view pattern, std::string_view text) {
  const auto compiled = Pattern::compile(pattern);
  if (!compiled) return "!";
  const auto match = compiled->search(text);
  return match ? std::string(text.substr(match->group_begin, match->group_end - match->group_begin)) : "-";
}

TEST(Pattern, FindsTheFirstGroup) {
  EXPECT_EQ(found(R"(^val_bpb:\s+([0-9.]+))", "val_bpb:   0.9979"), "0.9979");
  EXPECT_EQ(found(R"(loss[=:] ?(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?))", "step 3 loss: -1.5e-3 ok"), "-1.5e-3");
  EXPECT_EQ(found(R"((?P<loss>nan|inf|\d+))", "loss nan"), "nan");
  EXPECT_EQ(found("a|ab", "ab"), "a");
  EXPECT_EQ(found("<(.+?)>", "<a><b>"), "a");
  EXPECT_EQ(found("<(.+)>", "<a><b>"), "a><b");
  EXPECT_EQ(found("x{2,3}", "xxxx"), "xxx");
  EXPECT_EQ(found("x{2}", "x"), "-");
  EXPECT_EQ(found(R"(\bseed = (\d+)$)", "no\nmyseed = 1\nseed = 42\nend"), "42");
  EXPECT_EQ(found("[^a-c\\]]+", "abc]de"), "de");
  EXPECT_EQ(found("a{,3}", "a{,3}"), "a{,3}");
}

TEST(Pattern, WhatItCannotDoInBoundedTimeIsRefusedWithASentence) {
  for (const char* pattern : {R"((a)\1)", "(?=a)", "(?i)a", "(", ")", "[a", "a**", "*", "a{3,2}", "a{999}", "[z-a]", "",
                              "(a{200}){200}", "(((){256}){256}){256}", "[[:alpha:]]", "\\"}) {
    EXPECT_EQ(found(pattern, "a"), "!") << pattern;
  }
  EXPECT_EQ(Pattern::compile(R"((a)\1)").error().explain,
            R"(in the pattern "(a)\1" back references are not supported)");
  EXPECT_EQ(found(std::string(2000, '('), "a"), "!");
}

TEST(Pattern, APatternThatExplodesElsewhereEndsHere) {
  const std::string line(4096, 'a');
  EXPECT_EQ(found("^(a+)+$", line + "b"), "-");
  EXPECT_EQ(found("(a|aa)+b", line), "-");
  EXPECT_EQ(found("(a*)*", line), line);
}

RC_GTEST_PROP(Pattern, AgreesWithTheStandardLibraryOnSmallCases, ()) {
  const auto pieces = rc::gen::elementOf(std::vector<std::string>{"a", "b", "[ab]", "a*", "b+", "(a|b)", "(?:ab)?",
                                                                  "a*?", "b{1,2}", ".", "(b*)", "\\w", "(a|ab)"});
  std::string pattern;
  for (const auto& piece : *rc::gen::container<std::vector<std::string>>(4, pieces)) pattern += piece;
  const auto text = *rc::gen::container<std::string>(rc::gen::elementOf(std::string("abc")));
  std::smatch expected;
  const bool any = std::regex_search(text, expected, std::regex(pattern));
  const auto match = Pattern::compile(pattern).value().search(text);
  RC_ASSERT(match.has_value() == any);
  if (any) {
    RC_ASSERT(match->begin == static_cast<std::size_t>(expected.position(0)));
    RC_ASSERT(match->end == match->begin + static_cast<std::size_t>(expected.length(0)));
  }
}

RC_GTEST_PROP(Pattern, AnyBytesAreAPatternOrARefusal, (const std::string& pattern, const std::string& text)) {
  const auto compiled = Pattern::compile(pattern);
  if (compiled) (void)compiled->search(text);
}

TEST(Pattern, BeginsWhereItsFixedBytesAreAndNowhereElse) {
  const auto at = [](const char* pattern, std::string_view text) {
    const auto match = Pattern::compile(pattern)->search(text);
    return match ? static_cast<int>(match->begin) : -1;
  };
  EXPECT_EQ(at("loss: (\\d+)", "loss: x loss: 5"), 8);
  EXPECT_EQ(at("^loss: (\\d+)", "my loss: 5"), -1);
  EXPECT_EQ(at("^loss: (\\d+)", "my loss: 5\nloss: 6"), 11);
  EXPECT_EQ(at("(ab)?c", "xxc"), 2);
  EXPECT_EQ(at("(ab|cd)", "xxcd"), 2);
  EXPECT_EQ(at("ab*", "xa"), 1);
  EXPECT_EQ(at("(a)+b", "xaab"), 1);
  EXPECT_EQ(at("a{0}b", "xb"), 1);
  EXPECT_EQ(at("\\bab", "cab ab"), 4);
}

}  // namespace
}  // namespace overnight::workers
