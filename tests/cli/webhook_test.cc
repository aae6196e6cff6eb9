// The webhook: bounded in tries, told when it fails, and its address, which may hold a secret, is not repeated.
#include "orchestrator/cli/webhook.h"

#include <gtest/gtest.h>

#include "tests/cli/listener.h"

namespace overnight::cli {
namespace {

TEST(Webhook, SendsJsonOnceWhereItIsTaken) {
  Listener listener({"204 No Content"});
  EXPECT_EQ(post_webhook(listener.url("/hook?token=secret"), R"({"event":"run ended"})"), "");
  const auto requests = listener.requests();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_TRUE(requests[0].starts_with("POST /hook?token=secret HTTP/1.1\r\n"));
  EXPECT_NE(requests[0].find("Content-Type: application/json"), std::string::npos);
  EXPECT_TRUE(requests[0].ends_with(R"({"event":"run ended"})"));
}

TEST(Webhook, TriesAgainWhatMayPass) {
  Listener listener({"503 Busy", "", "200 OK"});
  EXPECT_EQ(post_webhook(listener.url("/"), "{}"), "");
  EXPECT_EQ(listener.requests().size(), 3u);
}

TEST(Webhook, GivesUpAfterItsTriesAndSaysWhyWithoutTheAddress) {
  Listener listener({"500 Broken"});
  const std::string why = post_webhook(listener.url("/hook?token=secret"), "{}");
  EXPECT_EQ(why, "the webhook answered with status 500 (3 tries)");
  EXPECT_EQ(listener.requests().size(), static_cast<std::size_t>(webhook_tries_max));
}

TEST(Webhook, DoesNotRepeatWhatWasRefusedForGood) {
  Listener listener({"404 Not Found"});
  EXPECT_EQ(post_webhook(listener.url("/"), "{}"), "the webhook answered with status 404");
  EXPECT_EQ(listener.requests().size(), 1u);
}

TEST(Webhook, FollowsNoRedirectAndSpeaksOnlyHttp) {
  Listener listener({"302 Found\r\nLocation: http://127.0.0.1:1/"});
  EXPECT_EQ(post_webhook(listener.url("/"), "{}"), "the webhook answered with status 302");
  EXPECT_NE(post_webhook("file:///etc/hostname", "{}"), "");
}

TEST(Webhook, NobodyThereIsTold) {
  std::string url;
  {
    Listener gone({"200 OK"});
    url = gone.url("/");
  }
  EXPECT_NE(post_webhook(url, "{}").find("was not reached"), std::string::npos);
}

}  // namespace
}  // namespace overnight::cli
