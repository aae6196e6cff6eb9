#include "workers/keeper/leader_spec.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "budgets/invariant.h"

namespace overnight::workers {
namespace {

void put(std::string& bytes, const std::string& text) { bytes.append(text).push_back('\0'); }
void put(std::string& bytes, std::int64_t number) { put(bytes, std::to_string(number)); }
template <typename Value>
void put(std::string& bytes, const std::vector<Value>& values) {
  put(bytes, static_cast<std::int64_t>(values.size()));
  for (const Value& value : values) put(bytes, value);
}

struct Bytes {
  std::string_view left;

  void take(std::string& text) {
    const std::size_t end = left.find('\0');
    INVARIANT(end != std::string_view::npos, "a leader's spec is whole");
    text = left.substr(0, end);
    left.remove_prefix(end + 1);
  }
  void take(std::int64_t& number) {
    std::string text;
    take(text);
    number = std::strtoll(text.c_str(), nullptr, 10);
  }
  void take(int& number) {
    std::int64_t wide = 0;
    take(wide);
    number = static_cast<int>(wide);
  }
  template <typename Value>
  void take(std::vector<Value>& values) {
    std::int64_t count = 0;
    take(count);
    for (std::int64_t i = 0; i < count; ++i) take(values.emplace_back());
  }
};

}  // namespace

std::string to_bytes(const LeaderSpec& spec) {
  std::string bytes;
  put(bytes, spec.program);
  put(bytes, spec.command);
  put(bytes, spec.env);
  put(bytes, spec.work_path);
  put(bytes, spec.view.hidden);
  put(bytes, spec.view.read_only);
  put(bytes, spec.view.enclosure);
  put(bytes, spec.view.folder);
  put(bytes, spec.view.shared_memory_bytes);
  put(bytes, spec.cpus);
  put(bytes, spec.file_bytes_max);
  put(bytes, spec.tasks_max);
  return bytes;
}

LeaderSpec leader_spec_from(std::string_view text) {
  Bytes bytes{text};
  LeaderSpec spec;
  bytes.take(spec.program);
  bytes.take(spec.command);
  bytes.take(spec.env);
  bytes.take(spec.work_path);
  bytes.take(spec.view.hidden);
  bytes.take(spec.view.read_only);
  bytes.take(spec.view.enclosure);
  bytes.take(spec.view.folder);
  bytes.take(spec.view.shared_memory_bytes);
  bytes.take(spec.cpus);
  bytes.take(spec.file_bytes_max);
  bytes.take(spec.tasks_max);
  return spec;
}

budgets::Result<SharedText, std::string> SharedText::make() {
  void* at = ::mmap(nullptr, bytes_max, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return budgets::unexpected("no memory to share: " + std::string(std::strerror(errno)));
  return SharedText(at);
}

SharedText::SharedText(SharedText&& other) noexcept : at_(std::exchange(other.at_, nullptr)) {}

SharedText::~SharedText() {
  if (at_) ::munmap(at_, bytes_max);
}

bool SharedText::put(std::string_view text) {
  const std::size_t size = text.size();
  if (size > bytes_max - sizeof size) return false;
  std::memcpy(at_, &size, sizeof size);
  std::memcpy(static_cast<char*>(at_) + sizeof size, text.data(), size);
  return true;
}

std::string_view SharedText::get() const {
  std::size_t size = 0;
  std::memcpy(&size, at_, sizeof size);
  return {static_cast<const char*>(at_) + sizeof size, size};
}

}  // namespace overnight::workers
