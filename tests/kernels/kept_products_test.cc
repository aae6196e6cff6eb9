#include "kernels/cuda/kept_products.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace overnight::kernels::cuda {
namespace {

namespace fs = std::filesystem;

const ProductKey wide{.rows = 2048, .columns = 2048, .depth = 512, .stride = 2048, .in = NumberKind::bfloat16};
const ProductKey narrow{
    .rows = 2048, .columns = 64, .depth = 512, .stride = 64, .out = NumberKind::bfloat16, .adds = 1};
constexpr ProductWay one{1, 2, 3, 4, 5, 6, 7, ~0ull}, other{8};

class KeptProductsTest : public testing::Test {
 protected:
  KeptProductsTest() {
    char name[] = "/tmp/overnight-products-XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~KeptProductsTest() override {
    fs::permissions(folder_, fs::perms::owner_all);
    fs::remove_all(folder_);
  }
  KeptProducts open(const std::string& gpu = "NVIDIA H200", const std::string& version = "130002") const {
    return {gpu, version, file()};
  }
  fs::path file() const { return folder_ / "products"; }
  std::string text() const {
    std::ifstream in(file());
    std::ostringstream all;
    all << in.rdbuf();
    return all.str();
  }
  void write(const std::string& text) const { std::ofstream(file()) << text; }

  fs::path folder_;
};

TEST_F(KeptProductsTest, AreFoundAgain) {
  KeptProducts kept = open();
  EXPECT_EQ(kept.find(wide), nullptr);
  kept.keep(wide, other);
  kept.keep(wide, one);
  kept.keep(narrow, other);
  ASSERT_EQ(kept.write(), "");
  const KeptProducts again = open();
  ASSERT_NE(again.find(wide), nullptr);
  EXPECT_EQ(*again.find(wide), one);
  EXPECT_EQ(*again.find(narrow), other);
  ProductKey turned = wide;
  turned.b_turned = 1;
  EXPECT_EQ(again.find(turned), nullptr);
}

TEST_F(KeptProductsTest, BelongToOneKindOfGpuAndOneLibrary) {
  KeptProducts kept = open();
  kept.keep(wide, one);
  ASSERT_EQ(kept.write(), "");
  EXPECT_EQ(open("NVIDIA H100").find(wide), nullptr);
  EXPECT_EQ(open("NVIDIA H200", "130100").find(wide), nullptr);
  ASSERT_EQ(open("NVIDIA H100").write(), "") << "the last one to find out has the file";
  EXPECT_EQ(open().find(wide), nullptr);
}

TEST_F(KeptProductsTest, LinesThatCannotBeReadArePassedOver) {
  KeptProducts kept = open();
  kept.keep(wide, one);
  ASSERT_EQ(kept.write(), "");
  const std::string good = text(), line = good.substr(good.find('\n') + 1);
  std::string high = line;
  high.replace(high.find(" 1 0 0 0 0 0 256"), 2, " 7");  // a kind of number that there is not
  write(good.substr(0, good.find('\n') + 1) + "\n1 2 3\nrm -rf\n" + high + line.substr(0, line.size() - 1) + " 9\n" +
        "99999999999999999999999 " + line);
  EXPECT_EQ(open().find(wide), nullptr);
  write(good.substr(0, good.find('\n') + 1) + "-\n" + line);
  EXPECT_NE(open().find(wide), nullptr) << "a good line behind a bad one";
}

TEST_F(KeptProductsTest, AFileHoldsSoManyWays) {
  KeptProducts kept = open();
  ProductKey key = wide;
  for (key.rows = 1; key.rows <= KeptProducts::ways_max + 10; ++key.rows) kept.keep(key, one);
  EXPECT_EQ(kept.find(key), nullptr);
  key.rows = 1;
  kept.keep(key, other);
  EXPECT_EQ(*kept.find(key), other) << "what is there may still change";
  ASSERT_EQ(kept.write(), "");
  std::ofstream(file(), std::ios::app) << text().substr(text().find('\n') + 1).replace(0, 1, "77777");
  key.rows = 77777;
  EXPECT_EQ(open().find(key), nullptr) << "and a file with more of them is read so far";
}

// Attempts that share a file, each with the same process number in a namespace of its own.
TEST_F(KeptProductsTest, WhatOthersFoundMeanwhileStays) {
  KeptProducts first = open(), second = open();
  first.keep(wide, other);
  second.keep(narrow, other);
  second.keep(wide, one);
  ASSERT_EQ(first.write(), "");
  ASSERT_EQ(second.write(), "");
  const KeptProducts all = open();
  ASSERT_NE(all.find(narrow), nullptr);
  EXPECT_EQ(*all.find(wide), one);
  ASSERT_EQ(first.write(), "");
  EXPECT_NE(open().find(narrow), nullptr);
}

TEST_F(KeptProductsTest, WhatCannotBeWrittenIsTold) {
  KeptProducts kept = open();
  kept.keep(wide, one);
  write("{\"experiment\": 1}\n");
  EXPECT_NE(kept.write().find("it holds something else"), std::string::npos) << kept.write();
  EXPECT_EQ(text(), "{\"experiment\": 1}\n");
  fs::remove(file());
  fs::create_directory(file());
  EXPECT_NE(kept.write().find("it is not a file"), std::string::npos) << kept.write();
  KeptProducts nowhere("NVIDIA H200", "130002", "/proc/overnight/products");
  EXPECT_NE(nowhere.write().find("/proc/overnight/products: No such file"), std::string::npos) << nowhere.write();
  KeptProducts full("NVIDIA H200", "130002", "/dev/full");
  EXPECT_NE(full.write(), "");
}

TEST_F(KeptProductsTest, FoldersAreMadeAndNothingElseIsLeft) {
  KeptProducts kept("NVIDIA H200", "130002", folder_ / "a" / "b" / "products");
  kept.keep(wide, one);
  ASSERT_EQ(kept.write(), "");
  ASSERT_EQ(kept.write(), "");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_ / "a" / "b"), {}), 1);
}

TEST_F(KeptProductsTest, LieInTheCacheFolderByName) {
  const char* had = std::getenv("XDG_CACHE_HOME");
  const std::string before = had != nullptr ? had : "";
  setenv("XDG_CACHE_HOME", folder_.c_str(), 1);
  EXPECT_EQ(KeptProducts("NVIDIA H200/../x", "130002", {}).file(),
            folder_ / "overnight/products-NVIDIA-H200----x-130002");
  had != nullptr ? setenv("XDG_CACHE_HOME", before.c_str(), 1) : unsetenv("XDG_CACHE_HOME");
}

}  // namespace
}  // namespace overnight::kernels::cuda
