// Output that never blocks: a terminal that was stopped with Ctrl-S, or a pipe that nobody reads, must not stop the
// orchestrator behind it. A resource of the loop's thread.
#pragma once

#include <string>

namespace overnight::cli {

class Console {
 public:
  // Takes a description of its own of what `descriptor` is connected to; others are not made non-blocking by it.
  explicit Console(int descriptor);
  ~Console();  // gives what is still waiting a last chance, without blocking
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  // Queues text and writes what can be written. Lines beyond `waiting_max` are dropped, and counted in a line later.
  void write(const std::string& text);
  void flush();
  bool idle() const { return waiting_.empty(); }  // all was written
  void abandon();                                 // the terminal is gone: nothing is written any more

 private:
  int descriptor_;
  bool own_ = false;  // not ours: written to only while it says that it can take more
  bool gone_ = false;
  std::string waiting_;
  long dropped_ = 0;
};

inline constexpr std::size_t waiting_max = 1 << 20;  // bytes kept for a reader that is slow

}  // namespace overnight::cli
