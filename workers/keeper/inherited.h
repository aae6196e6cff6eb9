// The orchestrator's environment in the keeper's hands: in memory that is empty in every process forked from here
// (Linux 4.14 and later; an older kernel copies it). What was forked ahead of an order can be read by tasks of the same
// user for the moment before its exec, where no PID namespace keeps them apart; secrets that it was not given must not
// lie there.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace overnight::workers {

class InheritedEnvironment {
 public:
  // Takes over this process's environment and overwrites it where the kernel shows it (/proc/PID/environ): afterwards
  // getenv finds nothing. Throws std::bad_alloc where there is no page for it.
  static InheritedEnvironment take();
  // "NAME=value" each.
  explicit InheritedEnvironment(const std::vector<std::string>& entries);

  std::optional<std::string> find(const std::string& name) const;

 private:
  struct Unmap {
    std::size_t bytes = 0;
    void operator()(char* text) const;
  };
  explicit InheritedEnvironment(const char* const* entries);

  std::unique_ptr<char, Unmap> text_;  // entries, each ended by a zero; one more zero
};

}  // namespace overnight::workers
