#include "workers/model/config.h"

#include <gtest/gtest.h>

namespace overnight::workers {
namespace {

TEST(ModelConfig, SurvivesTheWayThroughJson) {
  const ModelConfig config{.depth = 3, .width = 96, .heads = 6, .context = 64, .mlp_ratio = 2};
  const auto back = config_from_json(config_to_json(config));
  ASSERT_TRUE(back) << back.error();
  EXPECT_EQ(*back, config);
}

TEST(ModelConfig, RefusesWhatCannotBeBuiltWithItsReason) {
  ModelConfig config;
  config.width = 130;
  EXPECT_NE(why_impossible(config).find("130"), std::string::npos) << why_impossible(config);
  EXPECT_NE(why_impossible(config).find("heads"), std::string::npos);
  config.width = 12;  // three per head
  EXPECT_NE(why_impossible(config), "");
  config = {};
  config.depth = 0;
  EXPECT_NE(why_impossible(config), "");
  config = {};
  config.context = 1 << 30;
  EXPECT_NE(why_impossible(config), "");
  EXPECT_EQ(why_impossible(ModelConfig{}), "");
}

TEST(ModelConfig, RefusesHostileJson) {
  for (const char* text : {"", "[]", "null", "{\"depth\": \"4\"}", "{\"depth\": 1e99}", "{\"depth\": -1}",
                           "{\"width\": 4.5}", "{\"unknown\": 1}", "{\"depth\": 4"}) {
    EXPECT_FALSE(config_from_json(text)) << text;
  }
}

}  // namespace
}  // namespace overnight::workers
