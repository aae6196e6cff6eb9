// What only this machine can tell about a study: programs, folders and data that are missing.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "orchestrator/study/parse.h"

namespace overnight::study {
namespace {

namespace fs = std::filesystem;

bool found_in_path(const std::string& program, const std::string& path) {
  std::istringstream folders(path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (access((fs::path(folder) / program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

// The PATH that the task will see: the study's own, the passed one, or the keeper's default.
std::string path_of(const core::Task& task) {
  if (const auto own = task.env.find("PATH"); own != task.env.end()) return own->second;
  const char* passed = std::getenv("PATH");
  return passed == nullptr ? "/usr/local/bin:/usr/bin:/bin" : passed;
}

}  // namespace

std::vector<StudyError> check_machine(const core::Study& study) {
  std::vector<StudyError> errors;
  const auto complain = [&](const std::string& path, const std::string& why) {
    errors.push_back({"", 0, 0, path, why});
  };
  const auto check = [&](const char* phase, const core::PhaseSpec& spec) {
    const std::string& program = spec.command.front();
    const std::string where = std::string("task.") + phase + ".command";
    if (program.find('{') != std::string::npos) return;
    if (program.find('/') == std::string::npos) {
      // Programs of ours lie beside overnight; the executor puts that folder on the PATH.
      if (!program.starts_with("overnight-") && !found_in_path(program, path_of(study.task)))
        complain(where, "\"" + program + "\" is not found on the PATH");
    } else if (program.front() == '/' ? access(program.c_str(), X_OK) != 0
                                      : access((fs::path(study.task.workspace) / program).c_str(), X_OK) != 0) {
      complain(where, "\"" + program + "\" is not there or cannot be executed");
    }
  };
  if (study.task.build) check("build", *study.task.build);
  check("train", study.task.train);
  if (study.task.evaluate) check("evaluate", *study.task.evaluate);
  std::error_code ignored;
  if (!study.task.workspace.empty() && !fs::is_directory(study.task.workspace, ignored))
    complain("task.workspace", study.task.workspace + " is not a folder");
  for (const std::string& mount : study.task.mounts) {
    if (!fs::exists(mount, ignored)) complain("task.mounts", mount + " does not exist");
  }
  if (!study.task.validation_data.empty() && !fs::exists(study.task.validation_data, ignored))
    complain("task.evaluate.private.validation", study.task.validation_data + " does not exist");
  return errors;
}

}  // namespace overnight::study
