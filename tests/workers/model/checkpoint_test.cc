#include "workers/model/checkpoint.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "workers/model/language_model.h"

namespace overnight::workers {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Checkpoint : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("overnight-checkpoint." + std::to_string(getpid()) + "." +
                                           testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
    file_ = folder_ / "checkpoint.safetensors";
    initialize(model_.graph, parameters_.data(), 5);
    ASSERT_TRUE(write_checkpoint(file_, model_.graph, parameters_.data()));
    std::ifstream in(file_, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(in), {});
    std::uint64_t length = 0;
    std::memcpy(&length, bytes_.data(), 8);
    header_ = json::parse(bytes_.substr(8, length));
    data_ = bytes_.substr(8 + length);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // The refusal of a file with these bytes.
  std::string refusal(const std::string& bytes) {
    std::ofstream(file_, std::ios::binary) << bytes;
    const auto read = read_checkpoint(file_, model_.graph);
    return read ? "" : read.error();
  }
  std::string refusal(const json& header) { return refusal(framed(header.dump())); }
  std::string framed(const std::string& header) {
    const std::uint64_t length = header.size();
    return std::string(reinterpret_cast<const char*>(&length), 8) + header + data_;
  }

  LanguageModel model_ =
      make_language_model({.depth = 1, .width = 8, .heads = 2, .context = 8}, 1, ModelUse::inference);
  std::vector<float> parameters_ = std::vector<float>(model_.graph.parameter_floats());
  fs::path folder_, file_;
  std::string bytes_, data_;
  json header_;
};

TEST_F(Checkpoint, GivesBackTheSameParameters) {
  const auto read = read_checkpoint(file_, model_.graph);
  ASSERT_TRUE(read);
  const std::vector<float>& back = *read;
  for (const Tensor& tensor : model_.graph.tensors()) {
    for (std::size_t i = 0; tensor.parameter && i < tensor.count(); ++i)
      ASSERT_EQ(back[tensor.value_at + i], parameters_[tensor.value_at + i]);
  }
  EXPECT_FALSE(fs::exists(file_.string() + ".writing"));
}

TEST_F(Checkpoint, RefusesEveryLieOfItsHeader) {
  EXPECT_EQ(refusal(header_), "");
  json changed = header_;
  changed.erase("head");
  EXPECT_NE(refusal(changed).find("lacks \"head\""), std::string::npos);
  changed = header_;
  changed["more"] = changed["head"];
  EXPECT_NE(refusal(changed).find("\"more\""), std::string::npos);
  changed = header_;
  changed["head"]["shape"] = {8, 257};
  EXPECT_NE(refusal(changed).find("shape"), std::string::npos);
  changed = header_;
  changed["head"]["dtype"] = "F64";
  EXPECT_NE(refusal(changed), "");
  for (const json& offsets : {json{0, 1}, json{-4, 0}, json{0, 1ull << 62}, json{"a", "b"}, json(7), json{8, 4}}) {
    changed = header_;
    changed["head"]["data_offsets"] = offsets;
    EXPECT_NE(refusal(changed), "") << offsets;
  }
  changed = header_;
  changed["layers.0.mlp.up"]["data_offsets"] = changed["layers.0.mlp.down"]["data_offsets"];
  EXPECT_NE(refusal(changed), "") << "two tensors in one place";
  for (const json& entry : {json(), json(3), json::array()}) {
    changed = header_;
    changed["head"] = entry;
    EXPECT_NE(refusal(changed), "") << entry;
  }
}

TEST_F(Checkpoint, RefusesDuplicateNames) {
  std::string text = header_.dump();
  text = "{\"head\": " + header_["head"].dump() + "," + text.substr(1);
  EXPECT_NE(refusal(framed(text)).find("\"head\" twice"), std::string::npos);
  std::string deep = "0";
  for (int i = 0; i < 12; ++i) deep = "{\"q\": " + deep + "}";
  text = header_.dump();
  text = "{\"head\": " + header_["head"].dump() + ", \"__metadata__\": " + deep + "," + text.substr(1);
  EXPECT_NE(refusal(framed(text)), "") << "what is nested must not hide what is doubled";
}

TEST_F(Checkpoint, RefusesWhatIsNotACheckpoint) {
  EXPECT_NE(refusal(std::string()), "");
  EXPECT_NE(refusal(std::string(8, '\xff')), "");
  EXPECT_NE(refusal(framed("[]")), "");
  EXPECT_NE(refusal(framed("{")), "");
  EXPECT_NE(refusal(framed(std::string(200000, '['))), "");
  EXPECT_NE(refusal(bytes_ + "x"), "") << "bytes after the last tensor";
  EXPECT_NE(refusal(bytes_.substr(0, bytes_.size() - 1)), "");
  fs::remove(file_);
  EXPECT_FALSE(read_checkpoint(file_, model_.graph));
  fs::create_directory(file_);
  EXPECT_FALSE(read_checkpoint(file_, model_.graph));
}

TEST_F(Checkpoint, RefusesValuesThatAreNotFinite) {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    std::string changed = bytes_;
    std::memcpy(changed.data() + changed.size() - 4, &bad, 4);
    EXPECT_NE(refusal(changed).find("not a number"), std::string::npos);
  }
}

TEST_F(Checkpoint, RefusesFieldsOfAnotherType) {
  for (const char* field : {"dtype", "shape", "data_offsets"}) {
    for (const json& value : {json(), json(7), json(-1), json(2.5), json("F32x"), json{{"a", 1}}, json{json::array()},
                              json{1, 2, 3}, json{0.0, 32.0}}) {
      json changed = header_;
      changed["head"][field] = value;
      EXPECT_NE(refusal(changed), "") << field << " " << value;
    }
    json changed = header_;
    changed["head"].erase(field);
    EXPECT_NE(refusal(changed), "") << field;
  }
}

// A file of this size cannot hold the model that its config promises: nothing is allocated for it.
TEST_F(Checkpoint, OfAHugeModelIsRefusedBeforeMemoryIsTaken) {
  const LanguageModel huge =
      make_language_model({.depth = 128, .width = 16384, .heads = 64, .context = 8}, 1, ModelUse::inference);
  EXPECT_FALSE(read_checkpoint(file_, huge.graph));
}

TEST_F(Checkpoint, EveryTruncationIsRefused) {
  for (std::size_t size = 0; size < bytes_.size(); size += size < 600 ? 1 : 997)
    EXPECT_NE(refusal(bytes_.substr(0, size)), "") << size;
}

// Random damage to header and length: refused, or read as the very same model; never a crash.
TEST_F(Checkpoint, NeverCrashesOnDamage) {
  std::mt19937_64 random(11);
  const std::string signs = "{}[]:,\"0123456789-eE.\\u ntF";
  const int rounds = std::getenv("OVERNIGHT_TORTURE") != nullptr ? 100'000 : 1000;
  for (int i = 0; i < rounds; ++i) {
    std::string changed = bytes_;
    const std::size_t header = bytes_.size() - data_.size();
    for (std::uint64_t n = 1 + random() % 4; n > 0; --n) {
      const std::size_t at = random() % header;
      switch (random() % 4) {
        case 0:
          changed[at] = static_cast<char>(random());
          break;
        case 1:
          changed[at] = signs[random() % signs.size()];
          break;
        case 2:
          changed.insert(at, 1, signs[random() % signs.size()]);
          break;
        default:
          changed.erase(at, 1 + random() % 9);
      }
    }
    refusal(changed);
  }
}

TEST_F(Checkpoint, SaysWhereItCouldNotBeWritten) {
  const auto written = write_checkpoint(folder_ / "no" / "such" / "folder", model_.graph, parameters_.data());
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().find("folder"), std::string::npos);
}

}  // namespace
}  // namespace overnight::workers
