#include "orchestrator/report/words.h"

#include <gtest/gtest.h>

namespace overnight::report {
namespace {

TEST(Words, ShowAsManyDigitsAsTheErrorHas) {
  EXPECT_EQ(estimate_words({1.90123, 3, evals::Interval{1.89813, 1.90433}, false}), "1.9012 ± 0.0031");
  EXPECT_EQ(estimate_words({1234.567, 3, evals::Interval{1200.567, 1268.567}, false}), "1235 ± 34");
  EXPECT_EQ(estimate_words({0.5, 1, std::nullopt, false}), "0.5");
  EXPECT_EQ(estimate_words({0.5, 3, evals::Interval{0.5, 0.5}, false}), "0.5 ± 0");
  EXPECT_EQ(estimate_words({3e-9, 3, evals::Interval{1e-9, 5e-9}, false}), "3e-09 ± 2e-09");
  EXPECT_EQ(interval_words({0.0463, 0.0581}), "0.0463 to 0.0581");
}

TEST(Words, NeverShowAMinusZero) { EXPECT_EQ(number_words(-0.00001234 * 10, 2), "0.00"); }

TEST(Words, SpeakOfQuantitiesWithUnits) {
  EXPECT_EQ(duration_words(380), "380 ms");
  EXPECT_EQ(duration_words(4'800'000), "1 h 20 min");
  EXPECT_EQ(duration_words(3'600'000), "1 h");
  EXPECT_EQ(count_words(20'000), "20,000");
  EXPECT_EQ(count_words(-1'234'567), "-1,234,567");
  EXPECT_EQ(money_words(12'340'000), "$12.34");
  EXPECT_EQ(money_words(3'100), "$0.0031");
  EXPECT_EQ(bytes_words(3 * 1024 * 1024 / 2), "1.5 MiB");
  EXPECT_EQ(iso_words(1'795'000'000'123), "2026-11-18T11:06:40.123Z");
}

TEST(HarmlessText, HasNoControlsNoBrokenBytesAndNoTurnedDirection) {
  EXPECT_EQ(harmless("a\x1b[31m\tb\nc", 100), "a\xEF\xBF\xBD[31m b c");
  EXPECT_EQ(harmless("a\xff\xc0\xaf", 100), "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(harmless("\xE2\x80\xAE", 100), "\xEF\xBF\xBD");               // U+202E, right-to-left override
  EXPECT_EQ(harmless("\xED\xA0\x80", 100).substr(0, 3), "\xEF\xBF\xBD");  // a surrogate is no character
  EXPECT_EQ(harmless("größer ± 1", 100), "größer ± 1");
  EXPECT_EQ(harmless("a\r\nb\n", 100, true), "a\nb\n");
}

TEST(HarmlessText, IsCutBetweenCharacters) {
  EXPECT_EQ(harmless("äöü", 4), "äö…");
  EXPECT_EQ(harmless("äöü", 5), "äö…");
  EXPECT_EQ(harmless("äöü", 6), "äöü");
}

TEST(Html, EscapesAllThatCouldBeMarkup) {
  EXPECT_EQ(html("<b a=\"1\" c='2'>&"), "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;");
}

TEST(Markdown, EscapesAllThatCouldBeMarkup) {
  EXPECT_EQ(markdown("a|b `c` *d* [e](f) <g>\n# h"), "a\\|b \\`c\\` \\*d\\* \\[e\\]\\(f\\) &lt;g&gt; \\# h");
  EXPECT_EQ(markdown("https://x @everyone"), "https&#58;//x &#64;everyone");
  EXPECT_EQ(markdown("see www.x.org, WWW.x"), "see www&#46;x.org, WWW&#46;x");
  EXPECT_EQ(markdown("the run was held: no time. 23:41"), "the run was held: no time. 23:41");
}

TEST(Csv, QuotesAndDisarmsFormulas) {
  EXPECT_EQ(csv("plain"), "\"plain\"");
  EXPECT_EQ(csv("say \"hi\", you"), "\"say \"\"hi\"\", you\"");
  EXPECT_EQ(csv("=1+1"), "\"'=1+1\"");
  EXPECT_EQ(csv(" @SUM(A1)"), "\"' @SUM(A1)\"");
  EXPECT_EQ(csv("-adam"), "\"'-adam\"");
}

TEST(LastLines, AreTheLastOnes) {
  EXPECT_EQ(last_lines("a\nb\nc\n", 2), "b\nc");
  EXPECT_EQ(last_lines("a\nb\nc", 9), "a\nb\nc");
  EXPECT_EQ(last_lines("", 3), "");
}

}  // namespace
}  // namespace overnight::report
