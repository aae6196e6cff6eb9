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

#include "workers/model/json_object.h"

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

// Whole or not at all: beside the file first, then in its place. `write` returns false with errno set.
template <typename Write>
Result<void, std::string> write_by_rename(const std::filesystem::path& file, const Write& write) {
  const std::filesystem::path temporary = file.string() + ".writing";
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return unexpected(temporary.string() + ": " + std::strerror(errno));
  const bool good = write(fd) && ::fsync(fd) == 0;
  const std::string why = good ? "" : std::strerror(errno);
  ::close(fd);
  if (!good || ::rename(temporary.c_str(), file.c_str()) != 0)
    return unexpected(file.string() + ": " + (why.empty() ? std::strerror(errno) : why));
  return {};
}

// Keys given twice would let two readers see two things; nlohmann keeps the last one silently.
// Where each tensor lies in the data; refuses anything that is not exactly what is wanted.
Result<std::map<std::string, std::uint64_t>, std::string> begins_of(const json& header,
                                                                    const std::vector<StoredTensor>& tensors,
                                                                    std::uint64_t data_bytes) {
  std::map<std::string, const StoredTensor*> wanted;
  for (const StoredTensor& tensor : tensors) wanted[tensor.name] = &tensor;
  std::map<std::uint64_t, std::uint64_t> covered;  // begin -> end
  std::map<std::string, std::uint64_t> begins;
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
    begins[name] = begin;
    wanted.erase(found);
  }
  if (!wanted.empty()) return unexpected("it lacks \"" + wanted.begin()->first + "\"");
  std::uint64_t at = 0;
  for (const auto& [begin, end] : covered) {
    if (begin != at) return unexpected(std::string("its tensors overlap or leave a gap"));
    at = end;
  }
  if (at != data_bytes || covered.size() != begins.size())
    return unexpected(std::string("its tensors overlap or leave a gap"));
  return begins;
}

std::map<std::string, std::string> metadata_of(const json& header) {
  std::map<std::string, std::string> metadata;
  if (!header.contains("__metadata__") || !header["__metadata__"].is_object()) return metadata;
  for (const auto& [name, value] : header["__metadata__"].items()) {
    if (value.is_string()) metadata[name] = value.get<std::string>();
  }
  return metadata;
}

std::vector<StoredTensor> parameters_of(const Graph& graph, const float* parameters) {
  std::vector<StoredTensor> tensors;
  for (const Tensor& tensor : graph.tensors()) {
    if (tensor.parameter)
      tensors.push_back(
          {tensor.name, tensor.rows, tensor.columns, parameters == nullptr ? nullptr : parameters + tensor.value_at});
  }
  return tensors;
}

}  // namespace

Result<void, std::string> write_text(const std::filesystem::path& file, const std::string& text) {
  return write_by_rename(file, [&](int fd) { return write_whole(fd, text.data(), text.size()); });
}

Result<void, std::string> write_tensors(const std::filesystem::path& file, const std::vector<StoredTensor>& tensors,
                                        const std::map<std::string, std::string>& metadata) {
  json header = json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t at = 0;
  for (const StoredTensor& tensor : tensors) {
    const std::uint64_t end = at + tensor.count() * sizeof(float);
    header[tensor.name] = {{"dtype", "F32"}, {"shape", {tensor.rows, tensor.columns}}, {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return write_by_rename(file, [&](int fd) {
    const std::uint64_t length = text.size();
    bool good = write_whole(fd, &length, sizeof length) && write_whole(fd, text.data(), text.size());
    for (const StoredTensor& tensor : tensors)
      good = good && write_whole(fd, tensor.data, tensor.count() * sizeof(float));
    return good;
  });
}

Result<TensorFile, std::string> TensorFile::open(const std::filesystem::path& file,
                                                 const std::vector<StoredTensor>& wanted) {
  const auto refuse = [&](const std::string& why) { return unexpected(file.string() + ": " + why); };
  TensorFile opened;
  opened.name_ = file.string();
  std::error_code missing;
  const std::uint64_t size = std::filesystem::file_size(file, missing);
  opened.in_.open(file, std::ios::binary);
  if (missing || !opened.in_) return refuse("cannot be read");
  std::uint64_t length = 0;
  if (size < sizeof length || !opened.in_.read(reinterpret_cast<char*>(&length), sizeof length))
    return refuse("is too short to be a checkpoint");
  if (length > checkpoint_header_max || length > size - sizeof length)
    return refuse("says that its header has " + std::to_string(length) + " bytes");
  std::string text(length, '\0');
  if (!opened.in_.read(text.data(), static_cast<std::streamsize>(length))) return refuse("is cut off");
  const auto header = parse_json_object(text);
  if (!header) return refuse("its header " + header.error());
  const std::uint64_t data_at = sizeof length + length;
  const auto begins = begins_of(*header, wanted, size - data_at);
  if (!begins) return refuse(begins.error());
  for (const StoredTensor& tensor : wanted)
    opened.places_[tensor.name] = {data_at + begins->at(tensor.name), tensor.count()};
  opened.metadata_ = metadata_of(*header);
  return opened;
}

Result<void, std::string> TensorFile::read(const std::string& name, float* to) {
  const Place& place = places_.at(name);
  in_.seekg(static_cast<std::streamoff>(place.begin));
  if (!in_.read(reinterpret_cast<char*>(to), static_cast<std::streamsize>(place.count * sizeof(float))))
    return unexpected(name_ + ": is cut off");
  if (!std::all_of(to, to + place.count, [](float value) { return std::isfinite(value); }))
    return unexpected(name_ + ": \"" + name + "\" holds a value that is not a number, or infinite");
  return {};
}

Result<void, std::string> write_checkpoint(const std::filesystem::path& file, const Graph& graph,
                                           const float* parameters) {
  return write_tensors(file, parameters_of(graph, parameters));
}

Result<std::vector<float>, std::string> read_checkpoint(const std::filesystem::path& file, const Graph& graph) {
  auto opened = TensorFile::open(file, parameters_of(graph, nullptr));
  if (!opened) return unexpected(opened.error());
  std::vector<float> parameters(graph.parameter_floats());
  for (const Tensor& tensor : graph.tensors()) {
    if (!tensor.parameter) continue;
    if (auto read = opened->read(tensor.name, parameters.data() + tensor.value_at); !read)
      return unexpected(read.error());
  }
  return parameters;
}

}  // namespace overnight::workers
