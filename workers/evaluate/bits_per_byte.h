// Bits per byte of a model on held-out documents: the score. On a CPU it takes logits and does its own normalisation,
// in double precision; on a GPU, in floats, what is scored with is this program's own too, never the model's.
//
// Protocol, fixed: which bytes count depends on the documents alone (segments), never on the model, so that scores of
// models with different contexts are about the same bytes. A segment is walked in rows of `context` tokens, each
// beginning half a context after the one before; of a row only the targets that no earlier row had are counted, so that
// every byte of a segment is counted exactly once with at least half a context before it (but at the start of a
// document). The start of a document is given and not counted. The rows never depend on a batch size. Where a model
// reads tokens, the same holds of tokens; the sum is divided by the bytes of the text in either case.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/device.h"
#include "workers/corpus/corpus.h"
#include "workers/model/checkpoint.h"
#include "workers/model/language_model.h"

namespace overnight::workers {

// Bytes [from, to) of a document.
struct Segment {
  std::size_t document = 0, from = 0, to = 0;
};

// All documents in segments of at most 1024 bytes, or an even choice of them with about `bytes` in all.
std::vector<Segment> segments_of(const Documents& documents, std::size_t bytes);

// The same segments in the tokens of a tokenizer. Documents are encoded piece by piece, cut where segments are, so that
// a segment's tokens are its bytes and no others: which bytes count does not depend on how a model writes them.
struct InTokens {
  Documents documents;
  std::vector<Segment> segments;  // [from, to) in tokens, without document_start
};
InTokens in_tokens(const Documents& documents, const std::vector<Segment>& segments, const Tokenizer& tokenizer);

struct Row {
  std::size_t document = 0;
  std::size_t from = 0;        // first input token
  std::size_t count_from = 0;  // targets before this one are not this row's
  std::size_t to = 0;          // last input token, exclusive; the target of token t is token t + 1
};

std::vector<Row> rows_of(const std::vector<Segment>& segments, std::size_t context);

struct BitsPerByte {
  double value = 0;
  std::int64_t bytes = 0;  // counted, of the text
};

// `parameters` of a model with this config. `batch` and `threads` change memory and speed only: each row has its own
// sum, and these are added up in their order. Refused if a logit is not finite: such a model has no score.
budgets::Result<BitsPerByte, std::string> bits_per_byte(const ModelConfig& config, const float* parameters,
                                                        const Documents& documents, const std::vector<Row>& rows,
                                                        std::size_t batch, std::size_t threads = 1);
// The same by a GPU: in floats, or in bfloat16 with what that costs in precision. Throws DeviceOutOfMemory.
budgets::Result<BitsPerByte, std::string> bits_per_byte(const ModelConfig& config, const float* parameters,
                                                        const Documents& documents, const std::vector<Row>& rows,
                                                        std::size_t batch, bool rounded, kernels::Device& device);

// The largest batch up to `wanted` with which a model of this config fits into so many bytes of a GPU; 0: none does.
std::size_t device_scoring_batch(const ModelConfig& config, bool rounded, std::size_t wanted, std::uint64_t bytes);

// What one thread of it needs, in bytes, beside the parameters.
std::uint64_t scoring_bytes(const ModelConfig& config, std::size_t batch);

}  // namespace overnight::workers
