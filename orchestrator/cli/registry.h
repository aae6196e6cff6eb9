// The live homes of this machine, so that `halt --everything` finds them: one file per home in
// $XDG_RUNTIME_DIR/overnight or /run/overnight (or /tmp/overnight-UID where neither can be written), with the home's
// path. $OVERNIGHT_REGISTRY names one folder instead of all these.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace overnight::cli {

class Registration {
 public:
  Registration(const std::string& uuid, const std::filesystem::path& home);
  ~Registration();
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;

 private:
  std::filesystem::path file_;
};

// Homes that registered; some may have died since.
std::vector<std::filesystem::path> registered_homes();
// Where they are looked for, for people.
std::string registry_places();

}  // namespace overnight::cli
