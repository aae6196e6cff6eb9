// One outside program that is spoken to in lines over its stdin and stdout, with a warden process above it.
//
// A resource; the destructor kills the program and every process that it started, and returns when they were seen to be
// gone. The same happens when this process dies, however it dies: the warden holds one end of a pipe whose other end is
// here, and as a subreaper it inherits what left the program's session. Its stderr goes to a log that stops growing at
// its bound. Nothing of this process's environment or descriptors reaches it but what is given here.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "budgets/result.h"
#include "budgets/time.h"

namespace overnight::proposers {

struct ProgramSpec {
  std::vector<std::string> command;        // the program by path, or by name to be found on the PATH in `env`
  std::map<std::string, std::string> env;  // all that it gets
  std::string folder;                      // where it runs; empty: /
  std::string log;                         // file for its stderr; empty: thrown away
  std::int64_t log_bytes_max = 1 << 20;
  std::size_t line_bytes_max = 1 << 20;
};

class ChildProgram {
 public:
  static budgets::Result<std::unique_ptr<ChildProgram>, std::string> start(const ProgramSpec& spec);
  ~ChildProgram();
  ChildProgram(const ChildProgram&) = delete;
  ChildProgram& operator=(const ChildProgram&) = delete;

  // Writes all of `text` and reads one line, whichever the program wants first. Returns the line without its newline;
  // or why there is none: it ended, it took too long, the line was too long, or `wake` became readable.
  budgets::Result<std::string, std::string> exchange(const std::string& text, budgets::Millis within, int wake);

  bool alive() const;
  pid_t warden() const { return warden_; }

 private:
  ChildProgram() = default;
  bool take_line(std::string& line);
  std::string how_it_ended();

  pid_t warden_ = -1;
  int warden_fd_ = -1;                      // pidfd
  int to_ = -1, from_ = -1, control_ = -1;  // stdin, stdout, and the warden's life line
  std::size_t line_bytes_max_ = 0;
  std::string unread_;
};

}  // namespace overnight::proposers
