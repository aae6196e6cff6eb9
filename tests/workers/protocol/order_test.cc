#include "workers/protocol/order.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <nlohmann/json.hpp>

namespace overnight::workers {
namespace {

using nlohmann::json;

Order sample() {
  Order order;
  order.home = "h";
  order.run = "r";
  order.attempt = 7;
  order.nonce = "abc";
  order.directory = "/tmp/attempt";
  order.enclosure = "/tmp";
  order.experiment_json = "{}";
  order.phases = {{Phase::build, {"make"}, 1000, 0, 15, 5000, {}, {}},
                  {Phase::train,
                   {"python3", "train.py"},
                   0,
                   2000,
                   2,
                   10,
                   {{"loss", "^loss: (.*)"}},
                   {{"A", "b"}},
                   {"TOKEN"},
                   {"/private"}}};
  order.env = {{"SEED", "3"}};
  order.env_pass = {"PATH"};
  order.cpus = {0, 1};
  order.gpus = {"GPU-1"};
  order.seed_replacements = {{"train.py", "seed = (\\d+)"}};
  order.seed = -5;
  order.objective = "loss";
  order.lease_ms = 1000;
  order.limits = {1, 2, 3, 4, 5, 6, 7};
  return order;
}

std::string refusal(const json& order) {
  const auto read = order_from_json(order.dump());
  return read ? "" : read.error().explain;
}

json sample_json() { return json::parse(to_json(sample())); }

// The sample with one place changed; a pointer such as "/order/seed".
std::string refusal_with(const char* place, const json& value) {
  json changed = sample_json();
  changed[json::json_pointer(place)] = value;
  return refusal(changed);
}

TEST(Order, SurvivesTheWayThroughJson) {
  const auto back = order_from_json(to_json(sample()));
  ASSERT_TRUE(back) << back.error().explain;
  EXPECT_EQ(*back, sample());
}

RC_GTEST_PROP(Order, EveryFieldMissingIsRefused, ()) {
  json changed = sample_json();
  auto& fields = changed["order"];
  const auto victim = *rc::gen::inRange<std::size_t>(0, fields.size());
  fields.erase(std::next(fields.begin(), static_cast<std::ptrdiff_t>(victim)));
  RC_ASSERT(refusal(changed).ends_with("is missing"));
}

RC_GTEST_PROP(Order, TextCutAnywhereIsRefused, ()) {
  const std::string whole = to_json(sample());
  RC_ASSERT(!order_from_json(whole.substr(0, *rc::gen::inRange<std::size_t>(0, whole.size()))));
}

TEST(Order, AnUnknownFieldIsRefusedWithItsPlace) {
  EXPECT_EQ(refusal_with("/order/phases/1/tiemout_ms", 3), "order.phases[1].tiemout_ms: is not a known field");
}

TEST(Order, AWrongTypeIsRefused) {
  EXPECT_EQ(refusal_with("/order/seed", "3"), "order.seed: must be a whole number");
  EXPECT_EQ(refusal_with("/order/seed", 3.5), "order.seed: must be a whole number");
  EXPECT_EQ(refusal_with("/order/env", json::array()), "order.env: must be an object");
  EXPECT_EQ(refusal_with("/order/env/SEED", 3), "order.env.SEED: must be a text");
}

TEST(Order, ANewerVersionIsNamed) { EXPECT_TRUE(refusal_with("/version", 2).starts_with("version: is not 1")); }

TEST(Order, ARelativeDirectoryIsRefused) {
  EXPECT_EQ(refusal_with("/order/directory", "here"), "directory: must be an absolute path");
}

TEST(Order, AnEmptyCommandIsRefused) {
  EXPECT_EQ(refusal_with("/order/phases/0/command", json::array()), "phases[0].command: must name a program");
}

TEST(Order, PhasesOutOfOrderAreRefused) {
  EXPECT_EQ(refusal_with("/order/phases/1/phase", "build"), "phases[1]: is out of order: build, train, evaluate");
}

TEST(Order, ABudgetOutsideTrainIsRefused) {
  EXPECT_EQ(refusal_with("/order/phases/0/budget_ms", 5), "phases[0].budget_ms: only train has a budget");
}

TEST(Order, ANegativeLimitIsRefused) {
  EXPECT_EQ(refusal_with("/order/limits/memory_bytes", -1), "limits.memory_bytes: must not be negative");
}

TEST(Order, ANulInATextIsRefused) {
  EXPECT_EQ(refusal_with("/order/phases/0/command/0", std::string("ls\0-l", 5)),
            "order.phases[0].command[0]: contains a NUL");
}

TEST(Order, AnOverlongListIsRefused) {
  EXPECT_EQ(refusal_with("/order/mounts", std::vector<std::string>(4097, "/")),
            "order.mounts: has more than 4096 elements");
}

TEST(Order, ANameThatTheEnvironmentCannotHoldIsRefused) {
  EXPECT_EQ(refusal_with("/order/env", {{"A=B", "c"}}), "env: has a name that is empty or contains '='");
}

TEST(Order, AStopSignalThatDoesNotExistIsRefused) {
  EXPECT_EQ(refusal_with("/order/phases/0/stop_signal", 65), "phases[0].stop_signal: must be a signal from 1 to 64");
}

}  // namespace
}  // namespace overnight::workers
