#include "workers/model/config.h"

#include <gtest/gtest.h>

#include <cmath>

namespace overnight::workers {
namespace {

TEST(ModelConfig, SurvivesTheWayThroughJson) {
  const ModelConfig config{.depth = 3, .width = 96, .heads = 6, .context = 64, .mlp_ratio = 2};
  const auto back = config_from_json(config_to_json(config));
  ASSERT_TRUE(back) << back.error();
  EXPECT_EQ(*back, config);
  const ModelConfig windowed{.heads = 4, .kv_heads = 2, .window = "SSL", .short_window = 32, .rope_base = 500.5};
  EXPECT_EQ(config_from_json(config_to_json(windowed)).value(), windowed);
  const ModelConfig capped{.mlp = "swiglu", .tied = 1, .softcap = 15, .residual_mix = 1, .value_embeddings = 1};
  EXPECT_EQ(config_from_json(config_to_json(capped)).value(), capped);
  ModelConfig hybrid{.mixer = "MM3A", .state = 16, .mamba_rank = 4, .chunk = 16};
  EXPECT_EQ(config_from_json(config_to_json(hybrid)).value(), hybrid);
}

TEST(ModelConfig, ReadsWhatWasWrittenWhenAttentionWasTheOnlyMixer) {
  const auto read = config_from_json(R"({"architecture": "transformer", "depth": 2, "vocabulary": 257})");
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(*read, ModelConfig{.depth = 2});
}

TEST(ModelConfig, TheLastLayerSeesAll) {
  const ModelConfig config{.depth = 4, .context = 64, .window = "S"};
  EXPECT_EQ(config.window_of(0), 32);
  EXPECT_EQ(config.window_of(2), 32);
  EXPECT_EQ(config.window_of(3), 0);
  EXPECT_EQ((ModelConfig{.depth = 4, .window = "SL", .short_window = 9}).window_of(2), 9);
}

TEST(ModelConfig, RepeatsItsPatternOfMixers) {
  const ModelConfig config{.depth = 5, .mixer = "MMA"};
  std::string letters;
  for (std::size_t layer = 0; layer < 5; ++layer) letters += static_cast<char>(config.mixer_of(layer));
  EXPECT_EQ(letters, "MMAMM");
  EXPECT_TRUE(config.uses(Mixer::attention));
  EXPECT_FALSE((ModelConfig{.depth = 2, .mixer = "MMA"}).uses(Mixer::attention));
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

// Each names what is wrong, and only what the pattern uses can be.
TEST(ModelConfig, RefusesMixersThatCannotBeBuilt) {
  const struct {
    ModelConfig config;
    const char* word;
  } refused[] = {
      {{.mixer = ""}, "letters"},
      {{.mixer = "AXA"}, "\"X\""},
      {{.mixer = std::string(1000, 'A')}, "1000"},
      {{.context = 100, .mixer = "M"}, "chunk"},
      {{.mixer = "M", .mamba_head = 60}, "mamba_head"},
      {{.mixer = "3", .mamba_groups = 3}, "mamba_groups"},
      {{.mixer = "3", .state = 0}, "state"},
      {{.context = 1024, .mixer = "3", .mamba_rank = 4, .chunk = 512}, "mamba_rank"},
      {{.width = 126, .heads = 14, .mixer = "CA"}, "odd"},
      {{.heads = 4, .kv_heads = 3}, "kv_heads"},
      {{.kv_heads = -1}, "kv_heads"},
      {{.window = "SXL"}, "\"X\""},
      {{.window = ""}, "letters"},
      {{.context = 64, .short_window = 65}, "short_window"},
      {{.rope_base = 0}, "rope_base"},
      {{.mlp = "tanh"}, "tanh"},
      {{.softcap = -1}, "softcap"},
      {{.tied = 2}, "tied"},
      {{.rope_base = std::nan("")}, "rope_base"},
  };
  for (const auto& [config, word] : refused)
    EXPECT_NE(why_impossible(config).find(word), std::string::npos) << word << ": " << why_impossible(config);
  EXPECT_EQ(why_impossible({.context = 100, .mixer = "AC"}), "");
  EXPECT_EQ(why_impossible({.width = 126, .heads = 14, .context = 100, .mixer = "C"}), "");
}

TEST(ModelConfig, RefusesHostileJson) {
  for (const char* text :
       {"", "[]", "null", "{\"depth\": \"4\"}", "{\"depth\": 1e99}", "{\"depth\": -1}", "{\"width\": 4.5}",
        "{\"mixer\": 3}", "{\"mixer\": \"\"}", "{\"unknown\": 1}", "{\"depth\": 4"}) {
    EXPECT_FALSE(config_from_json(text)) << text;
  }
}

TEST(ModelConfig, RefusesAConfigThatNamesSomethingTwice) {
  const auto read = config_from_json(R"({"architecture": "language model", "width": 8, "width": 128})");
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().find("\"width\" twice"), std::string::npos) << read.error();
}

}  // namespace
}  // namespace overnight::workers
