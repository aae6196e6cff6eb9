#include "workers/evaluate/bits_per_byte.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

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
  const Transformer model = make_transformer(config, 1, Graph::Purpose::inference);
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
}

TEST(BitsPerByte, OfAModelThatKnowsNothingIsThatOfAGuess) {
  const Documents documents = some_documents();
  const std::vector<float> parameters(parameters_of(tiny, 0).size(), 0.0f);
  const BitsPerByte score =
      bits_per_byte(tiny, parameters.data(), documents, rows_of(segments_of(documents, 1 << 20), 32), 4);
  EXPECT_EQ(score.bytes, static_cast<std::int64_t>(documents.bytes()));
  EXPECT_NEAR(score.value, std::log2(257.0), 1e-6);
}

TEST(BitsPerByte, DoesNotDependOnTheBatch) {
  const Documents documents = some_documents();
  const auto parameters = parameters_of(tiny, 0.3f);
  const auto rows = rows_of(segments_of(documents, 1 << 20), 32);
  const double one = bits_per_byte(tiny, parameters.data(), documents, rows, 1).value;
  for (const std::size_t batch : {2u, 7u, 64u})
    EXPECT_NEAR(bits_per_byte(tiny, parameters.data(), documents, rows, batch).value, one, 1e-5 * one) << batch;
}

TEST(BitsPerByte, IsNotANumberIfTheModelIsNotOne) {
  const Documents documents = some_documents();
  auto parameters = parameters_of(tiny, 0.3f);
  for (float& value : parameters) value = std::nanf("");
  EXPECT_FALSE(std::isfinite(
      bits_per_byte(tiny, parameters.data(), documents, rows_of(segments_of(documents, 1 << 20), 32), 4).value));
}

// A model may give any logits; only their differences count, so that scaling them up to be "sure" of wrong answers
// costs.
TEST(BitsPerByte, IsBoundedBelowByZeroHoweverSureTheModelIs) {
  const Documents documents = some_documents();
  const auto parameters = parameters_of(tiny, 30.0f);
  EXPECT_GE(bits_per_byte(tiny, parameters.data(), documents, rows_of(segments_of(documents, 1 << 20), 32), 4).value,
            0);
}

}  // namespace
}  // namespace overnight::workers
