#include "workers/evaluate/bits_per_byte.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "tests/kernels/emulated_device.h"

namespace overnight::workers {
namespace {

Documents some_documents() {
  Documents documents;
  for (const std::size_t size : {1u, 5u, 300u, 2500u}) {
    documents.names.push_back("document" + std::to_string(size));
    std::vector<std::int32_t> tokens{document_start};
    for (std::size_t i = 0; i < size; ++i) tokens.push_back(static_cast<std::int32_t>((i * i + size) % 251));
    documents.tokens.push_back(tokens);
  }
  return documents;
}

constexpr ModelConfig tiny{.depth = 1, .width = 16, .heads = 2, .context = 32};

std::vector<float> parameters_of(const ModelConfig& config, float scale) {
  const LanguageModel model = make_language_model(config, 1, ModelUse::inference);
  std::vector<float> parameters(model.graph.parameter_floats());
  initialize(model.graph, parameters.data(), 2);
  for (std::size_t i = 0; i < parameters.size(); ++i)
    parameters[i] += scale * std::sin(static_cast<float>(i * i % 1009));
  return parameters;
}

TEST(Rows, CountEveryByteOfEveryDocumentExactlyOnceForAnyContext) {
  const Documents documents = some_documents();
  for (const std::size_t context : {1u, 2u, 3u, 8u, 32u, 257u, 5000u}) {
    std::multiset<std::pair<std::size_t, std::size_t>> counted;
    for (const Row& row : rows_of(segments_of(documents, documents.bytes()), context)) {
      EXPECT_LE(row.to - row.from, context);
      EXPECT_GE(row.count_from, row.from);
      EXPECT_LT(row.to, documents.tokens[row.document].size());
      for (std::size_t t = row.count_from; t < row.to; ++t) counted.insert({row.document, t});
    }
    EXPECT_EQ(counted.size(), documents.bytes()) << context;
    EXPECT_EQ((std::set<std::pair<std::size_t, std::size_t>>(counted.begin(), counted.end()).size()), documents.bytes())
        << context;
  }
}

TEST(Rows, EveryCountedByteHasHalfAContextBeforeItUnlessTheDocumentBegins) {
  const Documents documents = some_documents();
  for (const Row& row : rows_of(segments_of(documents, documents.bytes()), 32)) {
    EXPECT_TRUE(row.from == 0 || row.count_from - row.from >= 15u);
  }
}

TEST(Segments, AreTheSameForEveryModelAndNoMoreThanAskedFor) {
  Documents documents = some_documents();
  documents.tokens.push_back(std::vector<std::int32_t>(50'001, 7));
  documents.names.push_back("long");
  const auto chosen = segments_of(documents, 10'000);
  std::size_t bytes = 0;
  for (const Segment& segment : chosen) bytes += segment.to - segment.from;
  EXPECT_GT(bytes, 5'000u);
  EXPECT_LT(bytes, 12'000u);
  // A context must not choose its bytes.
  const auto counted = [&](std::size_t context) {
    std::set<std::pair<std::size_t, std::size_t>> all;
    for (const Row& row : rows_of(chosen, context)) {
      for (std::size_t t = row.count_from; t < row.to; ++t) all.insert({row.document, t});
    }
    return all;
  };
  EXPECT_EQ(counted(16), counted(512));
}

TEST(BitsPerByte, OfAModelThatKnowsNothingIsThatOfAGuess) {
  const Documents documents = some_documents();
  const std::vector<float> parameters(parameters_of(tiny, 0).size(), 0.0f);
  const BitsPerByte score =
      *bits_per_byte(tiny, parameters.data(), documents, rows_of(segments_of(documents, 1 << 20), 32), 4);
  EXPECT_EQ(score.bytes, static_cast<std::int64_t>(documents.bytes()));
  EXPECT_NEAR(score.value, std::log2(257.0), 1e-6);
}

// A score that moved with the micro-batch could be searched for: autoresearch's drops what does not fill a batch.
TEST(BitsPerByte, DoesNotDependOnTheBatchOrTheThreads) {
  const Documents documents = some_documents();
  const auto parameters = parameters_of(tiny, 0.3f);
  const auto rows = rows_of(segments_of(documents, 1 << 20), 32);
  const BitsPerByte one = *bits_per_byte(tiny, parameters.data(), documents, rows, 1);
  for (const std::size_t batch : {2u, 7u, 64u, 1000u}) {
    for (const std::size_t threads : {1u, 3u}) {
      const BitsPerByte other = *bits_per_byte(tiny, parameters.data(), documents, rows, batch, threads);
      EXPECT_NEAR(other.value, one.value, 1e-5 * one.value) << batch;
      EXPECT_EQ(other.bytes, one.bytes) << batch;
    }
  }
  EXPECT_EQ(bits_per_byte(tiny, parameters.data(), documents, rows, 7, 1)->value,
            bits_per_byte(tiny, parameters.data(), documents, rows, 7, 4)->value);
}

TEST(BitsPerByte, AreRefusedToAModelWhoseLogitsAreNotFinite) {
  const Documents documents = some_documents();
  const auto rows = rows_of(segments_of(documents, 1 << 20), 32);
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    auto parameters = parameters_of(tiny, 0.3f);
    for (float& value : parameters) value = bad;
    const auto score = bits_per_byte(tiny, parameters.data(), documents, rows, 4);
    ASSERT_FALSE(score) << bad;
    EXPECT_NE(score.error().find("document"), std::string::npos) << score.error();
  }
}

// A row too large for a sum of squares must not pass for one of zeros, which scores like a model that knows nothing.
TEST(BitsPerByte, AreRefusedToAModelThatOverflows) {
  const Documents documents = some_documents();
  const auto rows = rows_of(segments_of(documents, 1 << 20), 32);
  for (const float scale : {1e30f, 3e38f}) {
    auto parameters = parameters_of(tiny, 0.3f);
    for (float& value : parameters) value = value < 0 ? -scale : scale;
    EXPECT_FALSE(bits_per_byte(tiny, parameters.data(), documents, rows, 4)) << scale;
  }
}

// A head whose rows share a vector adds the same to all logits of a row of text, as large as one likes: it gains
// nothing.
TEST(BitsPerByte, AreTheSameWhenAConstantIsAddedToAllLogitsOfARow) {
  const Documents documents = some_documents();
  const auto rows = rows_of(segments_of(documents, 1 << 20), 32);
  auto parameters = parameters_of(tiny, 0.3f);
  const double plain = bits_per_byte(tiny, parameters.data(), documents, rows, 4)->value;
  const LanguageModel model = make_language_model(tiny, 1, ModelUse::inference);
  for (const Tensor& tensor : model.graph.tensors()) {
    if (tensor.name != "head") continue;
    for (std::size_t i = 0; i < tensor.count(); ++i)
      parameters[tensor.value_at + i] += 2 + std::sin(static_cast<float>(i % tensor.columns));
  }
  EXPECT_NEAR(bits_per_byte(tiny, parameters.data(), documents, rows, 4)->value, plain, 1e-4);
}

// The model is asked for logits alone: being sure of a wrong answer gains nothing.
TEST(BitsPerByte, NormaliseTheLogitsThemselves) {
  const Documents documents = some_documents();
  const auto rows = rows_of(segments_of(documents, 1 << 20), 32);
  const auto parameters = parameters_of(tiny, 30.0f);
  const double sure = bits_per_byte(tiny, parameters.data(), documents, rows, 4)->value;
  EXPECT_GT(sure, std::log2(257.0)) << "a random model that is sure is worse than one that does not know";
}

// However long tokens are, the same bytes count, each once, and the sum is divided by them.
TEST(BitsPerByte, OfTokensAreAboutTheSameBytes) {
  Documents documents;
  for (const std::size_t words : {1u, 40u, 900u}) {
    documents.names.push_back("words" + std::to_string(words));
    std::vector<std::int32_t> tokens{document_start};
    for (std::size_t i = 0; i < words; ++i) {
      for (const char c : std::string(i % 3 == 0 ? "the people " : "of \xff\xfe state "))
        tokens.push_back(static_cast<unsigned char>(c));
    }
    documents.tokens.push_back(tokens);
  }
  const auto segments = segments_of(documents, 5000);
  std::size_t bytes = 0;
  for (const Segment& segment : segments) bytes += segment.to - segment.from;
  const Tokenizer tokenizer = tokenizer_of(documents, 300);
  ASSERT_GT(tokenizer.vocabulary(), 260);
  const InTokens tokens = in_tokens(documents, segments, tokenizer);
  EXPECT_EQ(tokens.documents.bytes(), documents.bytes());
  EXPECT_LT(tokens.documents.tokens[2].size(), documents.tokens[2].size() / 2);
  ModelConfig config = tiny;
  config.vocabulary = tokenizer.vocabulary();
  const std::vector<float> parameters(parameters_of(config, 0).size(), 0.0f);
  const auto rows = rows_of(tokens.segments, 32);
  const auto score = bits_per_byte(config, parameters.data(), tokens.documents, rows, 4);
  ASSERT_TRUE(score);
  EXPECT_EQ(score->bytes, static_cast<std::int64_t>(bytes));
  std::size_t counted = 0;
  for (const Row& row : rows) counted += row.to - row.count_from;
  EXPECT_NEAR(
      score->value,
      std::log2(static_cast<double>(config.vocabulary)) * static_cast<double>(counted) / static_cast<double>(bytes),
      1e-6);
  // Bytes as tokens are the same as no tokenizer.
  const InTokens plain = in_tokens(documents, segments, Tokenizer());
  EXPECT_EQ(plain.documents.tokens, documents.tokens);
  for (std::size_t i = 0; i < segments.size(); ++i) {
    EXPECT_EQ(plain.segments[i].from, segments[i].from);
    EXPECT_EQ(plain.segments[i].to, segments[i].to);
  }
}

TEST(BitsPerByte, DivideByTheBytesOfTheTextWhateverTheyAre) {
  Documents documents;  // bytes that are no UTF-8: a decoder would count three for each
  documents.names = {"binary"};
  documents.tokens = {{document_start}};
  for (std::int32_t byte = 128; byte < 256; ++byte) documents.tokens[0].push_back(byte);
  const std::vector<float> parameters(parameters_of(tiny, 0).size(), 0.0f);
  const auto score = bits_per_byte(tiny, parameters.data(), documents, rows_of(segments_of(documents, 1 << 20), 32), 4);
  EXPECT_EQ(score->bytes, 128);
  EXPECT_NEAR(score->value, std::log2(257.0), 1e-6);
}

// On the emulator's device: the same bytes, and the same bits up to what each precision loses.
TEST(BitsPerByte, AGpuGivesTheScoreOfTheCpu) {
  const Documents documents = some_documents();
  ModelConfig config = tiny;
  config.softcap = 15;
  const std::vector<float> parameters = parameters_of(config, 0.1f);
  const auto rows = rows_of(segments_of(documents, 400), 32);
  const auto cpu = bits_per_byte(config, parameters.data(), documents, rows, 3);
  ASSERT_TRUE(cpu);
  const auto device = kernels::emulated_device();
  for (const bool rounded : {false, true}) {
    const auto score = bits_per_byte(config, parameters.data(), documents, rows, 5, rounded, *device);
    ASSERT_TRUE(score) << score.error();
    EXPECT_EQ(score->bytes, cpu->bytes);
    EXPECT_NEAR(score->value, cpu->value, (rounded ? 3e-3 : 1e-5) * cpu->value);
  }
}

TEST(BitsPerByte, AGpuGivesNoScoreToAModelThatOverflows) {
  const Documents documents = some_documents();
  std::vector<float> parameters = parameters_of(tiny, 0.1f);
  for (float& one : parameters) one *= 1e30f;
  const auto device = kernels::emulated_device();
  const auto score =
      bits_per_byte(tiny, parameters.data(), documents, rows_of(segments_of(documents, 400), 32), 2, false, *device);
  ASSERT_FALSE(score);
  EXPECT_NE(score.error().find("not finite"), std::string::npos);
}

}  // namespace
}  // namespace overnight::workers
