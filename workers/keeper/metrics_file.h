// The file that a task appends its reports to, read as it grows; each phase begins with an empty one, so that no phase
// speaks for another or uses up its share. A task may replace it by a new file; anything but a regular file is ignored.
// Owns the descriptor.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "workers/keeper/descriptor.h"
#include "workers/keeper/metric_book.h"

namespace overnight::workers {

class MetricsFile {
 public:
  static constexpr std::int64_t bytes_per_look = 1 << 20;  // 5 MiB/s while it runs; the rest when the phase has ended
  static constexpr std::int64_t bytes_max = 64 << 20;      // of a phase; what comes after is not read

  MetricsFile(int folder, const char* name);
  using Use = std::function<void(std::string_view line)>;
  void begin();  // a new phase: what it reports comes from here on; the last phase's file stays as "last-..."
  void look(const Use&);
  void finish(const Use&);  // all that is left, and a last line without its end
  std::int64_t lines_too_long() const { return lines_.too_long(); }

 private:
  void make();
  bool read_on(std::int64_t most, const Use&);
  void follow_replacement();

  int folder_;
  std::string name_;
  Descriptor file_;
  off_t offset_ = 0;
  std::int64_t read_ = 0;
  LineCutter lines_;
};

}  // namespace overnight::workers
