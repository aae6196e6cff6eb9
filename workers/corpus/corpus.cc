#include "workers/corpus/corpus.h"

#include <algorithm>
#include <fstream>
#include <sstream>

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
  for (const auto& one : tokens) sum += one.size() - 1;
  return sum;
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
