#include "workers/trainer/texts.h"

#include <cstdio>

#include "workers/model/memory.h"

namespace overnight::workers {
std::string take_vocabulary(Options& options) {
  const std::filesystem::path kept = options.artifacts / "tokenizer.txt";
  std::int64_t& vocabulary = options.settings.model.vocabulary;
  // A training that goes on keeps its tokens, whatever others could be learned now.
  if (options.tokenizer_file.empty() && options.resume && vocabulary != byte_vocabulary &&
      std::filesystem::exists(kept) && std::filesystem::exists(options.artifacts / state_file)) {
    options.tokenizer_file = kept;
    const auto read = read_tokenizer(kept);
    if (!read) return read.error();
    if (vocabulary != read->vocabulary())
      std::printf("goes on with the %lld tokens of %s\n", static_cast<long long>(read->vocabulary()), kept.c_str());
    vocabulary = read->vocabulary();
    return "";
  }
  if (options.tokenizer_file.empty()) return "";
  const auto read = read_tokenizer(options.tokenizer_file);
  if (!read) return read.error();
  if (vocabulary != byte_vocabulary && vocabulary != read->vocabulary())
    return "vocabulary " + std::to_string(vocabulary) + " is not that of the tokenizer, " +
           std::to_string(read->vocabulary());
  vocabulary = read->vocabulary();
  return "";
}

budgets::Result<Texts, std::string> read_texts(Options& options, const Stopped& stopped) {
  auto documents = read_documents(options.data);
  if (!documents) return budgets::unexpected(documents.error());
  Texts texts{std::move(*documents), {}};
  std::int64_t& vocabulary = options.settings.model.vocabulary;
  if (vocabulary == byte_vocabulary) return texts;
  if (options.tokenizer_file.empty()) {
    texts.tokenizer = tokenizer_of(texts.documents, vocabulary, stopped);
  } else {
    auto read = read_tokenizer(options.tokenizer_file);
    if (!read) return budgets::unexpected(read.error());
    texts.tokenizer = std::move(*read);
  }
  if (stopped()) return budgets::unexpected(std::string(stopped_early));
  vocabulary = texts.tokenizer.vocabulary();
  texts.documents = encoded(std::move(texts.documents), texts.tokenizer, stopped);
  if (stopped()) return budgets::unexpected(std::string(stopped_early));
  give_memory_back();
  return texts;
}

}  // namespace overnight::workers
