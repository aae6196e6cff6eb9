#include "orchestrator/core/digest.h"

#include <gtest/gtest.h>

#include <thread>

namespace overnight::core {
namespace {

// FIPS 180-4's own examples.
TEST(Sha256, GivesThePublishedDigests) {
  EXPECT_EQ(hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Sha256, IsTheSameOnEveryThread) {
  std::string elsewhere;
  std::thread([&] { elsewhere = hex(sha256("abc")); }).join();
  EXPECT_EQ(elsewhere, hex(sha256("abc")));
}

}  // namespace
}  // namespace overnight::core
