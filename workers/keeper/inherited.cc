#include "workers/keeper/inherited.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <new>

extern char** environ;

namespace overnight::workers {
namespace {

std::vector<const char*> pointers(const std::vector<std::string>& texts) {
  std::vector<const char*> out;
  for (const std::string& text : texts) out.push_back(text.c_str());
  out.push_back(nullptr);
  return out;
}

}  // namespace

void InheritedEnvironment::Unmap::operator()(char* text) const { ::munmap(text, bytes); }

InheritedEnvironment::InheritedEnvironment(const char* const* entries) : text_(nullptr, Unmap{}) {
  std::size_t bytes = 1;
  for (auto entry = entries; entry && *entry; ++entry) bytes += std::strlen(*entry) + 1;
  void* pages = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  text_ = std::unique_ptr<char, Unmap>(static_cast<char*>(pages), Unmap{bytes});
  ::madvise(pages, bytes, MADV_WIPEONFORK);
  ::madvise(pages, bytes, MADV_DONTDUMP);
  char* at = text_.get();
  for (auto entry = entries; entry && *entry; ++entry) at = ::stpcpy(at, *entry) + 1;
}

InheritedEnvironment::InheritedEnvironment(const std::vector<std::string>& entries)
    : InheritedEnvironment(pointers(entries).data()) {}

InheritedEnvironment InheritedEnvironment::take() {
  InheritedEnvironment taken(environ);
  for (char** entry = environ; entry && *entry; ++entry) ::explicit_bzero(*entry, std::strlen(*entry));
  ::clearenv();
  return taken;
}

std::optional<std::string> InheritedEnvironment::find(const std::string& name) const {
  for (const char* entry = text_.get(); *entry; entry += std::strlen(entry) + 1) {
    if (std::strncmp(entry, name.c_str(), name.size()) == 0 && entry[name.size()] == '=')
      return std::string(entry + name.size() + 1);
  }
  return std::nullopt;
}

}  // namespace overnight::workers
