// What a training reads: windows of the documents at random places, and targets that are the tokens behind them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "workers/corpus/corpus.h"

namespace overnight::workers {

class Batches {
 public:
  Batches(const Documents& documents, std::size_t context, std::uint64_t seed);

  // Fills [rows] of both, a multiple of the context. The start of a document is given, never guessed: its target is -1.
  void fill(std::int32_t* inputs, std::int32_t* targets, std::size_t rows);

  // Where the next batch comes from: to draw it again, or to go on from a file. `restore`: whether the text was one.
  std::string place() const;
  bool restore(const std::string& place);

  // FNV-1a over everything that is read, tokens as they are: other texts or other tokens give another number.
  std::uint64_t fingerprint() const;

 private:
  std::size_t context_;
  std::vector<std::int32_t> stream_;  // all documents, one after the other
  std::mt19937_64 random_;
};

// The rows by their tokens, rows of one token in their order (kernels::BackendOf::embedding_backward).
void order_by_token(std::int32_t* order, const std::int32_t* inputs, std::size_t rows, std::size_t vocabulary);

}  // namespace overnight::workers
