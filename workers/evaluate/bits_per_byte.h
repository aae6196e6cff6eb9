// Bits per byte of a model on held-out documents: the score. Takes logits and does its own normalisation, in double
// precision; never asks the model for its loss.
//
// Protocol, fixed: rows of `context` tokens, each beginning half a context after the one before; of a row only the
// targets that no earlier row had are counted, so that every byte of a document is counted exactly once and (but for
// the first row) has at least half a context before it. The start of a document is given and not counted. The list of
// rows depends on the documents and the context alone, never on a batch size.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "workers/model/checkpoint.h"
#include "workers/model/transformer.h"
#include "workers/trainer/corpus.h"

namespace overnight::workers {

struct Row {
  std::size_t document = 0;
  std::size_t from = 0;        // first input token
  std::size_t count_from = 0;  // targets before this one were counted by an earlier row
  std::size_t to = 0;          // last input token, exclusive; the target of token t is token t + 1
};

std::vector<Row> rows_of(const Documents& documents, std::size_t context);

// An even choice of at most `targets` counted targets, whole rows, the same for every model with this context.
std::vector<Row> subset_of(const std::vector<Row>& rows, std::size_t targets);

struct BitsPerByte {
  double value = 0;
  std::int64_t bytes = 0;  // counted
};

// `parameters` of a model with this config; `batch` changes memory and speed only.
BitsPerByte bits_per_byte(const ModelConfig& config, const float* parameters, const Documents& documents,
                          const std::vector<Row>& rows, std::size_t batch);

}  // namespace overnight::workers
