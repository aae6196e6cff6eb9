// The attempt's folder: laid out before the first phase, and the only place the keeper writes to. Everything goes
// through its descriptor and never follows a link that a task may have put there. Owns the descriptor.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "budgets/result.h"
#include "workers/keeper/descriptor.h"
#include "workers/protocol/order.h"

namespace overnight::workers {

inline constexpr int tree_depth_max = 64;                       // of a workspace
inline constexpr std::int64_t seeded_file_bytes_max = 4 << 20;  // a source file, not data

class AttemptFolder {
 public:
  using Done = budgets::Result<void, std::string>;  // or a sentence

  static budgets::Result<AttemptFolder, std::string> open(const std::string& path);
  int fd() const { return folder_.get(); }

  Done make_folder(const std::string& relative) const;  // an empty one; what stood there is moved aside
  // Keeps room on the disk for the receipt until it is written: a full disk must not cost the knowledge of what
  // happened.
  Done reserve_receipt() const;
  void remove_working_folders() const;  // what phases worked in; no process of theirs may be alive
  Done write_receipt(const std::string& text) const;
  bool is_at(const std::string& path) const;  // false: a task moved or removed it
  // Copies regular files, folders and links; sockets, devices, .git and what the paths `but` name (the home, which
  // often lies in the workspace; private data) are left out. `go_on` is asked between files.
  Done copy_into(const std::string& from, const std::string& relative, const std::vector<std::string>& but,
                 const std::function<bool()>& go_on) const;
  Done replace_seed(const std::string& relative, const SeedReplacement&, std::int64_t seed) const;
  // Written beside, fsynced, renamed, folder fsynced: after success it survives a power cut.
  Done write_durably(const std::string& name, const std::string& text) const;
  Done write(const std::string& name, const std::string& text) const;
  Descriptor open_folder(const std::string& relative) const;
  std::int64_t free_bytes() const;  // of the file system; -1 if it cannot be told

 private:
  explicit AttemptFolder(Descriptor folder) : folder_(std::move(folder)) {}
  void unlock() const;  // a task may have taken our rights to it
  void move_aside(const std::string& name) const;
  Done write_new(const std::string& name, const std::string& text, bool durable) const;

  Descriptor folder_;
};

// A whole file of at most `most` bytes; regular files only.
budgets::Result<std::string, std::string> read_whole(int file, std::int64_t most);

}  // namespace overnight::workers
