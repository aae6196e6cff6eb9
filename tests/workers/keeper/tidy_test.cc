#include "workers/keeper/tidy.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/workers/keeper/kept_attempt.h"

namespace overnight::workers {
namespace {

namespace fs = std::filesystem;

TEST(Tidy, KeepsRecordsAndArtifactsAndRemovesAllElse) {
  const Folder folder;
  for (const char* name :
       {"order.json", "receipt.json", "train.stdout.log", "metrics.jsonl", "junk", ".receipt.reserve"})
    folder.write(name, "x");
  for (const char* name : {"artifacts/sub", "work/a/b", "home", "evaluate/work", "aside-work-17"})
    fs::create_directories(folder.path() / name);
  folder.write("artifacts/sub/weights", "x");
  fs::permissions(folder.path() / "work/a", fs::perms::none);
  EXPECT_TRUE(tidy(folder.path()));
  std::set<std::string> left;
  for (const auto& entry : fs::directory_iterator(folder.path())) left.insert(entry.path().filename());
  EXPECT_EQ(left,
            (std::set<std::string>{"order.json", "receipt.json", "train.stdout.log", "metrics.jsonl", "artifacts"}));
  EXPECT_TRUE(fs::exists(folder.path() / "artifacts/sub/weights"));
}

TEST(Tidy, DoesNotTrustNames) {
  const Folder folder;
  fs::create_directories(folder.path() / "train.stdout.log/x");
  fs::create_symlink("/etc", folder.path() / "artifacts");
  folder.write("metrics.jsonl", "");
  fs::resize_file(folder.path() / "metrics.jsonl", std::uintmax_t{1} << 30);
  EXPECT_TRUE(tidy(folder.path()));
  EXPECT_TRUE(fs::is_empty(folder.path()));
  EXPECT_TRUE(fs::exists("/etc"));
}

TEST(Tidy, OfNothingSaysSo) { EXPECT_FALSE(tidy("/nonexistent/attempt")); }

}  // namespace
}  // namespace overnight::workers
