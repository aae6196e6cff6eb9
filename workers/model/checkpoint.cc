#include "workers/model/checkpoint.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

namespace overnight::workers {
namespace {

using budgets::Result;
using budgets::unexpected;
using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian");

bool write_whole(int fd, const void* data, std::size_t size) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t n = ::write(fd, at, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

// Keys given twice would let two readers see two things; nlohmann keeps the last one silently.
Result<json, std::string> parse_header(const std::string& text) {
  std::vector<std::map<std::string, bool>> seen;
  std::string twice;
  const json::parser_callback_t watch = [&](int depth, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) seen.emplace_back();
    if (event == json::parse_event_t::object_end && !seen.empty()) seen.pop_back();
    if (event == json::parse_event_t::key && !seen.back().emplace(parsed.get<std::string>(), true).second)
      twice = parsed.get<std::string>();
    return depth < 8;
  };
  json header = json::parse(text, watch, false);
  if (!header.is_object()) return unexpected(std::string("its header is not a JSON object"));
  if (!twice.empty()) return unexpected("its header names \"" + twice + "\" twice");
  return header;
}

struct Piece {
  const Tensor* tensor;
  std::uint64_t begin;
};

// Where each parameter lies in the data; refuses anything that is not exactly the graph's.
Result<std::vector<Piece>, std::string> pieces_of(const json& header, const Graph& graph, std::uint64_t data_bytes) {
  std::map<std::string, const Tensor*> wanted;
  for (const Tensor& tensor : graph.tensors()) {
    if (tensor.parameter) wanted[tensor.name] = &tensor;
  }
  std::map<std::uint64_t, std::uint64_t> covered;  // begin -> end
  std::vector<Piece> pieces;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    const auto found = wanted.find(name);
    if (found == wanted.end()) return unexpected("it holds \"" + name + "\", which this model has not");
    const json shape{found->second->rows, found->second->columns};
    // Compared as JSON: a value of another type is another value.
    if (!entry.is_object() || !entry.contains("dtype") || entry["dtype"] != json("F32") || !entry.contains("shape") ||
        entry["shape"] != shape) {
      return unexpected("\"" + name + "\" is not F32 of shape " + shape.dump());
    }
    const json offsets = entry.contains("data_offsets") ? entry["data_offsets"] : json();
    if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
        !offsets[1].is_number_unsigned())
      return unexpected("\"" + name + "\" has no offsets");
    const auto begin = offsets[0].get<std::uint64_t>(), end = offsets[1].get<std::uint64_t>();
    if (begin > end || end > data_bytes || end - begin != found->second->count() * sizeof(float))
      return unexpected("\"" + name + "\" lies outside the file or has the wrong size");
    covered[begin] = end;
    pieces.push_back({found->second, begin});
    wanted.erase(found);
  }
  if (!wanted.empty()) return unexpected("it lacks \"" + wanted.begin()->first + "\"");
  std::uint64_t at = 0;
  for (const auto& [begin, end] : covered) {
    if (begin != at) return unexpected(std::string("its tensors overlap or leave a gap"));
    at = end;
  }
  if (at != data_bytes || covered.size() != pieces.size())
    return unexpected(std::string("its tensors overlap or leave a gap"));
  return pieces;
}

}  // namespace

Result<void, std::string> write_checkpoint(const std::filesystem::path& file, const Graph& graph,
                                           const float* parameters) {
  json header = json::object();
  std::uint64_t at = 0;
  for (const Tensor& tensor : graph.tensors()) {
    if (!tensor.parameter) continue;
    const std::uint64_t end = at + tensor.count() * sizeof(float);
    header[tensor.name] = {{"dtype", "F32"}, {"shape", {tensor.rows, tensor.columns}}, {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::filesystem::path temporary = file.string() + ".writing";
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return unexpected(temporary.string() + ": " + std::strerror(errno));
  const std::uint64_t length = text.size();
  bool good = write_whole(fd, &length, sizeof length) && write_whole(fd, text.data(), text.size());
  for (const Tensor& tensor : graph.tensors()) {
    if (tensor.parameter) good = good && write_whole(fd, parameters + tensor.value_at, tensor.count() * sizeof(float));
  }
  good = good && ::fsync(fd) == 0;
  const std::string why = good ? "" : std::strerror(errno);
  ::close(fd);
  if (!good || ::rename(temporary.c_str(), file.c_str()) != 0)
    return unexpected(file.string() + ": " + (why.empty() ? std::strerror(errno) : why));
  return {};
}

Result<std::vector<float>, std::string> read_checkpoint(const std::filesystem::path& file, const Graph& graph) {
  const auto refuse = [&](const std::string& why) { return unexpected(file.string() + ": " + why); };
  std::error_code missing;
  const std::uint64_t size = std::filesystem::file_size(file, missing);
  std::ifstream in(file, std::ios::binary);
  if (missing || !in) return refuse("cannot be read");
  std::uint64_t length = 0;
  if (size < sizeof length || !in.read(reinterpret_cast<char*>(&length), sizeof length))
    return refuse("is too short to be a checkpoint");
  if (length > checkpoint_header_max || length > size - sizeof length)
    return refuse("says that its header has " + std::to_string(length) + " bytes");
  std::string text(length, '\0');
  if (!in.read(text.data(), static_cast<std::streamsize>(length))) return refuse("is cut off");
  const auto header = parse_header(text);
  if (!header) return refuse(header.error());
  const std::uint64_t data_at = sizeof length + length;
  const auto pieces = pieces_of(*header, graph, size - data_at);
  if (!pieces) return refuse(pieces.error());
  std::vector<float> parameters(graph.parameter_floats());
  for (const Piece& piece : *pieces) {
    float* at = parameters.data() + piece.tensor->value_at;
    in.seekg(static_cast<std::streamoff>(data_at + piece.begin));
    if (!in.read(reinterpret_cast<char*>(at), static_cast<std::streamsize>(piece.tensor->count() * sizeof(float))))
      return refuse("is cut off");
    if (!std::all_of(at, at + piece.tensor->count(), [](float value) { return std::isfinite(value); }))
      return refuse("\"" + piece.tensor->name + "\" holds a value that is not a number, or infinite");
  }
  return parameters;
}

}  // namespace overnight::workers
