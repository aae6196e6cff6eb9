#include "workers/corpus/corpus.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/workers/trainer/texts.h"
#include "workers/model/config.h"

namespace overnight::workers {
namespace {

namespace fs = std::filesystem;

TEST(Corpus, DocumentsComeInOrderOfNameAndEachBeginsWithItsMark) {
  const Texts texts("order", 3);
  const auto documents = read_documents(texts.path());
  ASSERT_TRUE(documents) << documents.error();
  ASSERT_EQ(documents->names, (std::vector<std::string>{"text100.txt", "text101.txt", "text102.txt"}));
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto& tokens = documents->tokens[i];
    EXPECT_EQ(tokens[0], document_start);
    bytes += fs::file_size(texts.path() / documents->names[i]);
    for (std::size_t t = 1; t < tokens.size(); ++t) ASSERT_LT(tokens[t], 256);
  }
  EXPECT_EQ(documents->bytes(), bytes);
}

TEST(Corpus, EveryDocumentIsInExactlyOneSplit) {
  const Texts texts("splits", 25);
  const fs::path out = texts.path() / "out";
  ASSERT_TRUE(lay_out_splits(texts.path(), out));
  std::map<std::string, int> seen;
  std::map<std::string, std::size_t> sizes;
  for (const char* split : {"train", "validation", "holdout"}) {
    const auto documents = read_documents(out / split);
    ASSERT_TRUE(documents) << documents.error();
    for (const std::string& name : documents->names) ++seen[name];
    sizes[split] = documents->names.size();
  }
  EXPECT_EQ(seen.size(), 25u);
  for (const auto& [name, count] : seen) EXPECT_EQ(count, 1) << name;
  EXPECT_EQ(sizes["train"], 20u);
  EXPECT_EQ(sizes["validation"], 2u);
  EXPECT_EQ(sizes["holdout"], 3u);
}

TEST(Corpus, RefusesFoldersWithNothingToRead) {
  const Texts texts("few", 3), none("none", 0);
  EXPECT_FALSE(read_documents(texts.path() / "missing"));
  const auto empty = read_documents(none.path());
  ASSERT_FALSE(empty);
  EXPECT_NE(empty.error().find(none.path().string()), std::string::npos);
  const auto few = lay_out_splits(texts.path(), texts.path() / "out");
  ASSERT_FALSE(few);
  EXPECT_NE(few.error().find("3 texts"), std::string::npos) << few.error();
}

}  // namespace
}  // namespace overnight::workers
