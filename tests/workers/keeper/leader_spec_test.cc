#include "workers/keeper/leader_spec.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace overnight::workers {
namespace {

LeaderSpec any_spec() {
  LeaderSpec spec;
  spec.program = "/bin/sh";
  spec.command = {"sh", "-c", "echo \"\xff\n\"", ""};
  spec.env = {"A=1", "EMPTY="};
  spec.work_path = "/home/of/an attempt/work";
  spec.view = {{"/a", "/b"}, {}, "/home", "/home/runs", 1 << 20};
  spec.cpus = {0, 3};
  spec.file_bytes_max = std::int64_t{1} << 40;
  spec.tasks_max = 512;
  return spec;
}

TEST(LeaderSpecs, AreReadAsTheyWereWritten) {
  EXPECT_EQ(leader_spec_from(to_bytes(any_spec())), any_spec());
  EXPECT_EQ(leader_spec_from(to_bytes(LeaderSpec{})), LeaderSpec{});
}

TEST(LeaderSpecsDeathTest, ThatAreCutShortAreABug) {
  const std::string bytes = to_bytes(any_spec());
  EXPECT_DEATH((void)leader_spec_from(std::string_view(bytes).substr(0, bytes.size() - 1)), "whole");
}

TEST(SharedTexts, AreSeenByWhatWasForkedBeforeTheyWereWritten) {
  auto text = SharedText::make();
  ASSERT_TRUE(text);
  int gate[2];
  ASSERT_EQ(::pipe(gate), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    char go = 0;
    (void)!::read(gate[0], &go, 1);
    ::_exit(text->get() == "later" ? 0 : 1);
  }
  EXPECT_TRUE(text->put("later"));
  ASSERT_EQ(::write(gate[1], "g", 1), 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  ::close(gate[0]);
  ::close(gate[1]);
}

TEST(SharedTexts, RefuseWhatIsTooLong) {
  auto text = SharedText::make();
  ASSERT_TRUE(text);
  EXPECT_TRUE(text->put(std::string(SharedText::bytes_max - sizeof(std::size_t), 'x')));
  EXPECT_FALSE(text->put(std::string(SharedText::bytes_max, 'x')));
}

}  // namespace
}  // namespace overnight::workers
