// The text that is trained on or scored: whole documents, in bytes or in the tokens of a tokenizer; every document
// begins with the token document_start. A corpus is laid out once into three folders, and a program is shown one of
// them alone: training cannot read what it is scored on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "budgets/result.h"
#include "workers/corpus/tokenizer.h"

namespace overnight::workers {

enum class CorpusSplit { train, validation, holdout };

// The split of the i-th document in the order of file names: every tenth is validation, every tenth the final hold-out.
CorpusSplit split_of(std::size_t index);

inline constexpr std::uint64_t corpus_bytes_max = std::uint64_t{4} << 30;  // it is held in memory

struct Documents {
  std::vector<std::string> names;
  std::vector<std::vector<std::int32_t>> tokens;  // each begins with document_start
  std::vector<std::size_t> token_bytes;           // of each token of the vocabulary; empty: tokens are bytes

  std::size_t bytes_of(std::int32_t token) const {
    return token_bytes.empty() ? 1 : token_bytes[static_cast<std::size_t>(token)];
  }
  std::size_t bytes() const;
  std::string text(std::size_t document) const;  // INVARIANT: tokens are bytes
};

// All *.txt files of a folder, in order of name.
budgets::Result<Documents, std::string> read_documents(const std::filesystem::path& folder);

// Memory that the documents of a folder take, in bytes, before any is read; in tokens other than bytes: at
// least, while they are encoded one after the other.
budgets::Result<std::uint64_t, std::string> documents_memory(const std::filesystem::path& folder, bool in_tokens);

// A tokenizer from documents in bytes: from all of them, or from the beginnings of evenly chosen ones, at most
// tokenizer_bytes_max in all.
inline constexpr std::size_t tokenizer_bytes_max = 2 << 20;
Tokenizer tokenizer_of(const Documents& documents, std::int64_t vocabulary, const Stopped& stopped = {});

// Documents in bytes, in tokens; each is given up once it is encoded. After a stop the rest is missing.
// INVARIANT: the tokens' bytes are the documents'.
Documents encoded(Documents documents, const Tokenizer& tokenizer, const Stopped& stopped = {});

// Copies the documents of `corpus` into OUT/train, OUT/validation and OUT/holdout.
budgets::Result<void, std::string> lay_out_splits(const std::filesystem::path& corpus,
                                                  const std::filesystem::path& out);

}  // namespace overnight::workers
