// What a training reads: documents in the tokens of its model, and the memory that it takes to get there.
#pragma once

#include <string>

#include "workers/corpus/corpus.h"
#include "workers/trainer/options.h"

namespace overnight::workers {

inline constexpr const char* state_file = "state.safetensors";  // in the artifacts, of a training with --resume

inline constexpr const char* stopped_early = "stopped, or out of time, before the first step: there is no model";

struct Texts {
  Documents documents;
  Tokenizer tokenizer;
};

// Reads the documents and, for a vocabulary beyond bytes, takes the tokenizer that the options name, or that of the
// state which is gone on from, or learns one; options.settings.model.vocabulary becomes what it has, which may be less
// than was asked for: where no pair of tokens comes twice, nothing more is joined. Once `stopped` says so it ends with
// an error.
budgets::Result<Texts, std::string> read_texts(Options& options, const Stopped& stopped);

// With a tokenizer of the user's, its vocabulary is the model's: known before anything is read. Empty, or why it cannot
// be.
std::string take_vocabulary(Options& options);

}  // namespace overnight::workers
