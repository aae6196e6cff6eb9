// Holds tasks back until the test lets them go: they take a shared lock on a file that the test holds exclusively.
// (A named pipe would not do: two tasks can sit at it, and one may read what was meant for the other.)
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <string>

#include "tests/system/program.h"

namespace overnight::system_tests {

class Gate {
 public:
  explicit Gate(const Folder& folder)
      : path_((folder.path() / "gate").string()), file_(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
    ::flock(file_, LOCK_EX);
  }
  ~Gate() { open(); }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  // For all that wait and all that come.
  void open() {
    if (file_ >= 0) ::close(file_);
    file_ = -1;
  }
  // A line of a task's script.
  std::string wait() const { return "flock -s " + path_ + " true"; }

 private:
  std::string path_;
  int file_;
};

}  // namespace overnight::system_tests
