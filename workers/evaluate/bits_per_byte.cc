#include "workers/evaluate/bits_per_byte.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "budgets/invariant.h"
#include "workers/model/block.h"
#include "workers/model/crew.h"
#include "workers/model/device_model.h"

namespace overnight::workers {
namespace {

constexpr std::size_t segment_bytes = 1024;

// -log2 of the probability that the logits give to `target`: log-sum-exp in double precision.
double bits_of(const float* logits, std::size_t width, std::int32_t target) {
  double largest = static_cast<double>(logits[0]);
  for (std::size_t i = 1; i < width; ++i) largest = std::max(largest, static_cast<double>(logits[i]));
  double sum = 0;
  for (std::size_t i = 0; i < width; ++i) sum += std::exp(static_cast<double>(logits[i]) - largest);
  return (std::log(sum) + largest - static_cast<double>(logits[static_cast<std::size_t>(target)])) / std::numbers::ln2;
}

// The bits of the bytes that a row counts; not finite if one of its logits is not.
double bits_of_row(const float* logits, std::size_t width, const Row& row, const Documents& documents) {
  double bits = 0;
  for (std::size_t t = row.count_from; t < row.to; ++t)
    bits += bits_of(logits + (t - row.from) * width, width, documents.tokens[row.document][t + 1]);
  return bits;
}

// What one thread scores with.
struct Scorer {
  Block arena;
  std::vector<std::int32_t> inputs;
  Memory memory;
  Scorer(const Graph& graph, const float* parameters, std::size_t tokens)
      : arena(graph.arena_bytes() / sizeof(float)), inputs(tokens) {
    memory.backend = &kernels::cpu_backend();
    memory.parameters = parameters;
    memory.arena = arena.get();
  }
};

void put(Scorer& scorer, const Row& row, const Documents& documents, std::size_t at) {
  const auto& tokens = documents.tokens[row.document];
  std::copy(tokens.begin() + static_cast<std::ptrdiff_t>(row.from),
            tokens.begin() + static_cast<std::ptrdiff_t>(row.to),
            scorer.inputs.begin() + static_cast<std::ptrdiff_t>(at));
}

}  // namespace

std::vector<Segment> segments_of(const Documents& documents, std::size_t bytes) {
  std::vector<Segment> all;
  for (std::size_t d = 0; d < documents.tokens.size(); ++d) {
    const std::size_t size = documents.tokens[d].size() - 1;  // without document_start
    for (std::size_t from = 0; from < size; from += segment_bytes)
      all.push_back({d, from, std::min(size, from + segment_bytes)});
  }
  const std::size_t total = documents.bytes();
  if (total <= bytes) return all;
  const std::size_t every = (total + bytes - 1) / bytes;
  std::vector<Segment> chosen;
  for (std::size_t i = every / 2; i < all.size(); i += every) chosen.push_back(all[i]);
  return chosen;
}

InTokens in_tokens(const Documents& documents, const std::vector<Segment>& segments, const Tokenizer& tokenizer) {
  InTokens made;
  made.documents.names = documents.names;
  made.documents.token_bytes = token_bytes_of(tokenizer);
  std::vector<std::vector<std::size_t>> begins;  // of each piece of each document, in tokens
  for (std::size_t d = 0; d < documents.tokens.size(); ++d) {
    const std::string text = documents.text(d);
    std::vector<std::int32_t> tokens{document_start};
    auto& begin = begins.emplace_back();
    for (std::size_t from = 0; from < text.size(); from += segment_bytes) {
      begin.push_back(tokens.size() - 1);
      tokenizer.encode(std::string_view(text).substr(from, segment_bytes), tokens);
    }
    begin.push_back(tokens.size() - 1);
    made.documents.tokens.push_back(std::move(tokens));
  }
  INVARIANT(made.documents.bytes() == documents.bytes(), "the bytes of the tokens are those of the text");
  for (const Segment& segment : segments) {
    const std::size_t piece = segment.from / segment_bytes;
    made.segments.push_back({segment.document, begins[segment.document][piece], begins[segment.document][piece + 1]});
  }
  return made;
}

std::vector<Row> rows_of(const std::vector<Segment>& segments, std::size_t context) {
  std::vector<Row> rows;
  const std::size_t stride = std::max<std::size_t>(1, context / 2);
  for (const Segment& segment : segments) {
    // Byte i is the target of input token i: token 0 is the start of the document.
    std::size_t from = segment.from > stride ? segment.from - stride : 0;
    for (std::size_t counted = segment.from; counted < segment.to; from += stride) {
      const std::size_t to = std::min(from + context, segment.to);
      if (to <= counted) continue;
      rows.push_back({segment.document, from, counted, to});
      counted = to;
    }
  }
  return rows;
}

std::uint64_t scoring_bytes(const ModelConfig& config, std::size_t batch) {
  return make_language_model(config, batch, ModelUse::inference).graph.arena_bytes();
}

namespace {

// Of the bits of each row: their sum by the bytes that they count, if all are finite.
budgets::Result<BitsPerByte, std::string> summed(const std::vector<double>& bits, const Documents& documents,
                                                 const std::vector<Row>& rows) {
  BitsPerByte result;
  double sum = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!std::isfinite(bits[i])) {
      return budgets::unexpected("the model's logits are not finite for bytes " + std::to_string(rows[i].count_from) +
                                 " to " + std::to_string(rows[i].to) + " of " + documents.names[rows[i].document]);
    }
    sum += bits[i];
    for (std::size_t t = rows[i].count_from; t < rows[i].to; ++t)
      result.bytes += static_cast<std::int64_t>(documents.bytes_of(documents.tokens[rows[i].document][t + 1]));
  }
  result.value = result.bytes == 0 ? 0 : sum / static_cast<double>(result.bytes);
  return result;
}

}  // namespace

budgets::Result<BitsPerByte, std::string> bits_per_byte(const ModelConfig& config, const float* parameters,
                                                        const Documents& documents, const std::vector<Row>& rows,
                                                        std::size_t batch, std::size_t threads) {
  const LanguageModel model = make_language_model(config, batch, ModelUse::inference);
  const auto context = static_cast<std::size_t>(config.context), width = static_cast<std::size_t>(config.vocabulary);
  std::vector<Scorer> scorers;
  for (std::size_t i = 0; i < threads; ++i) scorers.emplace_back(model.graph, parameters, batch * context);
  std::vector<double> bits(rows.size());
  Crew crew(threads);
  crew.run([&](std::size_t thread) {
    Scorer& scorer = scorers[thread];
    for (std::size_t first = thread * batch; first < rows.size(); first += threads * batch) {
      const std::size_t here = std::min(batch, rows.size() - first);
      std::fill(scorer.inputs.begin(), scorer.inputs.end(), document_start);
      for (std::size_t b = 0; b < here; ++b) put(scorer, rows[first + b], documents, b * context);
      scorer.memory.inputs = scorer.inputs.data();
      model.graph.forward(scorer.memory);
      const float* logits = model.graph.read(scorer.memory, model.logits);
      for (std::size_t b = 0; b < here; ++b)
        bits[first + b] = bits_of_row(logits + b * context * width, width, rows[first + b], documents);
    }
  });
  return summed(bits, documents, rows);
}

std::size_t device_scoring_batch(const ModelConfig& config, bool rounded, std::size_t wanted, std::uint64_t bytes) {
  const std::uint64_t parameters = make_language_model(config, 1, ModelUse::scoring).graph.parameter_floats();
  for (std::size_t batch = wanted; batch > 0; batch /= 2) {
    const std::uint64_t needed = device_model_bytes(config, batch, ModelUse::scoring, rounded) +
                                 parameters * (sizeof(float) + sizeof(kernels::bfloat16)) +
                                 2 * sizeof(std::int32_t) * batch * static_cast<std::uint64_t>(config.context);
    if (needed <= bytes) return batch;
  }
  return 0;
}

budgets::Result<BitsPerByte, std::string> bits_per_byte(const ModelConfig& config, const float* parameters,
                                                        const Documents& documents, const std::vector<Row>& rows,
                                                        std::size_t batch, bool rounded, kernels::Device& device) {
  const auto context = static_cast<std::size_t>(config.context);
  const std::size_t count = make_language_model(config, 1, ModelUse::scoring).graph.parameter_floats(),
                    tokens = batch * context;
  const auto model = make_device_model(config, batch, ModelUse::scoring, rounded, device);
  const kernels::DeviceArray<float> there(device, count);
  const kernels::DeviceArray<kernels::bfloat16> weights(device, rounded ? count : 0);
  const kernels::DeviceArray<std::int32_t> given(device, 2 * tokens);
  const kernels::HostArray<std::int32_t> told(device, 2 * tokens);
  const kernels::HostArray<float> losses(device, tokens);
  device.to_device(there.get(), parameters, count * sizeof(float));
  if (rounded) device.ops().narrow(weights.get(), there.get(), count);
  std::vector<double> bits(rows.size());
  for (std::size_t first = 0; first < rows.size(); first += batch) {
    const std::size_t here = std::min(batch, rows.size() - first);
    std::fill_n(told.get(), tokens, document_start);
    std::fill_n(told.get() + tokens, tokens, -1);
    for (std::size_t b = 0; b < here; ++b) {
      const Row& row = rows[first + b];
      const auto& all = documents.tokens[row.document];
      for (std::size_t t = row.from; t < row.to; ++t) told.get()[b * context + t - row.from] = all[t];
      for (std::size_t t = row.count_from; t < row.to; ++t)
        told.get()[tokens + b * context + t - row.from] = all[t + 1];
    }
    device.to_device(given.get(), told.get(), told.bytes());
    model->run(
        {.parameters = there.get(), .weights = weights.get(), .inputs = given.get(), .targets = given.get() + tokens});
    device.to_host(losses.get(), model->losses(), losses.bytes());
    device.wait();
    for (std::size_t b = 0; b < here; ++b) {
      for (std::size_t t = 0; t < context; ++t)
        bits[first + b] += static_cast<double>(losses.get()[b * context + t]) / std::numbers::ln2;
    }
  }
  return summed(bits, documents, rows);
}

}  // namespace overnight::workers
