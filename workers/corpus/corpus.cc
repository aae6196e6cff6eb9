#include "workers/corpus/corpus.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "budgets/invariant.h"
#include "workers/model/config.h"

namespace overnight::workers {
namespace {

namespace fs = std::filesystem;
using budgets::Result;
using budgets::unexpected;

const char* folder_name(CorpusSplit split) {
  switch (split) {
    case CorpusSplit::train:
      return "train";
    case CorpusSplit::validation:
      return "validation";
    case CorpusSplit::holdout:
      return "holdout";
  }
  return "";
}

Result<std::vector<fs::path>, std::string> texts_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder, failed)) {
    if (entry.path().extension() == ".txt" && entry.is_regular_file()) files.push_back(entry.path());
  }
  if (failed)
    return unexpected(folder.string() + ": " + failed.message() +
                      "; ./dev quickstart fetches the speeches and lays them out");
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

CorpusSplit split_of(std::size_t index) {
  if (index % 10 == 9) return CorpusSplit::validation;
  if (index % 10 == 4) return CorpusSplit::holdout;
  return CorpusSplit::train;
}

std::size_t Documents::bytes() const {
  std::size_t sum = 0;
  for (const auto& one : tokens) {
    if (token_bytes.empty()) {
      sum += one.size() - 1;
    } else {
      for (const std::int32_t token : one) sum += bytes_of(token);
    }
  }
  return sum;
}

std::string Documents::text(std::size_t document) const {
  INVARIANT(token_bytes.empty(), "tokens are bytes");
  const auto& bytes = tokens[document];
  return std::string(bytes.begin() + 1, bytes.end());
}

Result<Documents, std::string> read_documents(const fs::path& folder) {
  const auto files = texts_in(folder);
  if (!files) return unexpected(files.error());
  Documents documents;
  std::uint64_t total = 0;
  for (const fs::path& file : *files) {
    std::ifstream in(file, std::ios::binary);
    std::ostringstream whole;
    whole << in.rdbuf();  // an empty file sets failbit, which is no failure
    const std::string text = whole.str();
    total += text.size();
    if (in.bad() || !in.is_open() || total > corpus_bytes_max)
      return unexpected(file.string() +
                        (in.is_open() && !in.bad() ? ": the corpus is larger than 4 GiB" : ": cannot be read"));
    std::vector<std::int32_t> tokens{document_start};
    tokens.reserve(text.size() + 1);
    for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
    documents.names.push_back(file.filename().string());
    documents.tokens.push_back(std::move(tokens));
  }
  if (documents.bytes() == 0) return unexpected(folder.string() + " has no text (documents are its *.txt files)");
  return documents;
}

Result<std::uint64_t, std::string> documents_memory(const fs::path& folder, bool in_tokens) {
  const auto files = texts_in(folder);
  if (!files) return unexpected(files.error());
  std::uint64_t bytes = 0, largest = 0;
  for (const fs::path& file : *files) {
    std::error_code failed;
    const std::uintmax_t size = fs::file_size(file, failed);
    bytes += failed ? 0 : size;
    largest = std::max<std::uint64_t>(largest, failed ? 0 : size);
  }
  return sizeof(std::int32_t) * bytes + (in_tokens ? largest : 0);  // and the text of the one that is encoded
}

Tokenizer tokenizer_of(const Documents& documents, std::int64_t vocabulary, const Stopped& stopped) {
  const std::size_t every = std::max<std::size_t>(1, documents.bytes() / tokenizer_bytes_max);
  std::vector<std::string> texts;
  std::size_t left = tokenizer_bytes_max;
  for (std::size_t d = 0; d < documents.tokens.size() && left > 0; d += every) {
    texts.push_back(documents.text(d).substr(0, left));
    left -= texts.back().size();
  }
  return Tokenizer::trained({texts.begin(), texts.end()}, vocabulary, stopped);
}

Documents encoded(Documents documents, const Tokenizer& tokenizer, const Stopped& stopped) {
  Documents in_tokens;
  in_tokens.token_bytes = token_bytes_of(tokenizer);
  const std::size_t bytes = documents.bytes();
  for (std::size_t d = 0; d < documents.tokens.size(); ++d) {
    if (stopped && stopped()) return in_tokens;
    std::vector<std::int32_t> tokens{document_start};
    tokenizer.encode(documents.text(d), tokens);
    tokens.shrink_to_fit();
    in_tokens.tokens.push_back(std::move(tokens));
    documents.tokens[d] = {};
  }
  in_tokens.names = std::move(documents.names);
  INVARIANT(in_tokens.bytes() == bytes, "the bytes of the tokens are those of the text");
  return in_tokens;
}

Result<void, std::string> lay_out_splits(const fs::path& corpus, const fs::path& out) {
  const auto files = texts_in(corpus);
  if (!files) return unexpected(files.error());
  if (files->size() < 10)
    return unexpected(corpus.string() + " has " + std::to_string(files->size()) +
                      " texts; at least ten are needed for three splits");
  std::error_code failed;
  for (std::size_t i = 0; i < files->size() && !failed; ++i) {
    const fs::path folder = out / folder_name(split_of(i));
    fs::create_directories(folder, failed);
    if (!failed)
      fs::copy_file((*files)[i], folder / (*files)[i].filename(), fs::copy_options::overwrite_existing, failed);
  }
  if (failed) return unexpected(out.string() + ": " + failed.message());
  return {};
}

}  // namespace overnight::workers
