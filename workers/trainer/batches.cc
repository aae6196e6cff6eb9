#include "workers/trainer/batches.h"

#include <algorithm>
#include <sstream>

namespace overnight::workers {

Batches::Batches(const Documents& documents, std::size_t context, std::uint64_t seed)
    : context_(context), random_(seed) {
  stream_.reserve(documents.bytes() + documents.tokens.size());
  for (const auto& tokens : documents.tokens) stream_.insert(stream_.end(), tokens.begin(), tokens.end());
  while (stream_.size() < context + 2) stream_.push_back(document_start);
}

void Batches::fill(std::int32_t* inputs, std::int32_t* targets, std::size_t rows) {
  for (std::size_t row = 0; row < rows; row += context_) {
    const auto from = stream_.begin() + static_cast<std::ptrdiff_t>(random_() % (stream_.size() - context_ - 1));
    std::copy_n(from, context_, inputs + row);
    std::replace_copy(from + 1, from + 1 + static_cast<std::ptrdiff_t>(context_), targets + row, document_start, -1);
  }
}

std::string Batches::place() const {
  std::ostringstream words;
  words << random_;
  return words.str();
}

bool Batches::restore(const std::string& place) {
  std::istringstream words(place);
  std::mt19937_64 read;
  if (!(words >> read)) return false;
  random_ = read;
  return true;
}

std::uint64_t Batches::fingerprint() const {
  std::uint64_t hash = 14695981039346656037ull;
  for (const std::int32_t token : stream_) hash = (hash ^ static_cast<std::uint32_t>(token)) * 1099511628211ull;
  return hash;
}

void order_by_token(std::int32_t* order, const std::int32_t* inputs, std::size_t rows, std::size_t vocabulary) {
  std::vector<std::size_t> next(vocabulary + 1);
  for (std::size_t row = 0; row < rows; ++row) ++next[static_cast<std::size_t>(inputs[row]) + 1];
  for (std::size_t token = 0; token < vocabulary; ++token) next[token + 1] += next[token];
  for (std::size_t row = 0; row < rows; ++row)
    order[next[static_cast<std::size_t>(inputs[row])]++] = static_cast<std::int32_t>(row);
}

}  // namespace overnight::workers
