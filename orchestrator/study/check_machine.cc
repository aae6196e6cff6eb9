// What only this machine can tell about a study: programs, folders, data and secrets that are missing.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <thread>

#include "orchestrator/study/parse.h"
#include "orchestrator/study/quantities.h"

namespace overnight::study {
namespace {

namespace fs = std::filesystem;

constexpr const char* keeper_path =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";  // the keeper's default

bool is_program(const fs::path& file) {
  std::error_code ignored;
  return fs::is_regular_file(file, ignored) && access(file.c_str(), X_OK) == 0;
}

bool found_in(const std::string& path, const std::string& program) {
  std::istringstream folders(path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (is_program(fs::path(folder) / program)) return true;
  }
  return false;
}

std::string environment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : value;
}

// The PATH that the task will see: its own, the passed one, or the keeper's.
std::string path_of(const core::Task& task) {
  if (const auto own = task.env.find("PATH"); own != task.env.end()) return own->second;
  const bool passed = std::find(task.env_pass.begin(), task.env_pass.end(), "PATH") != task.env_pass.end();
  return passed ? environment("PATH", keeper_path) : keeper_path;
}

class Machine {
 public:
  explicit Machine(const Parsed& parsed)
      : study_(parsed.study), places_(parsed.places), path_(path_of(parsed.study.task)) {}

  MachineFindings look() {
    const core::Task& task = study_.task;
    if (task.build) check_phase("build", *task.build, false);
    check_phase("train", task.train, task.build.has_value());
    if (task.evaluate) check_phase("evaluate", *task.evaluate, task.build.has_value());
    std::error_code ignored;
    if (!task.workspace.empty() && !fs::is_directory(task.workspace, ignored))
      complain("task.workspace", task.workspace + " is not a folder");
    for (const std::string& mount : task.mounts) must_exist("task.mounts", mount);
    must_exist("task.evaluate.private.validation", task.validation_data);
    must_exist("task.evaluate.private.holdout", task.holdout_data);
    for (const core::Secret& secret : task.secrets) must_be_set("task.secrets", secret.name);
    check_cpus();
    check_memory();
    for (std::size_t i = 0; i < study_.proposers.size(); ++i) check_proposer(i);
    return std::move(found_);
  }

 private:
  void add(std::vector<StudyError>& findings, const std::string& path, const std::string& why) {
    findings.push_back({"", 0, 0, path, why});
    places_.locate(findings.back());
  }
  void complain(const std::string& path, const std::string& why) { add(found_.errors, path, why); }

  void must_exist(const std::string& path, const std::string& file) {
    std::error_code ignored;
    if (!file.empty() && !fs::exists(file, ignored))
      complain(path, file + " does not exist; create it or correct the path");
  }
  void must_be_set(const std::string& path, const std::string& name) {
    if (environment(name.c_str(), "").empty())
      complain(path, name + " is not set in this environment; export it first");
  }

  // Fewer than asked for would be a slower machine than the study was written for, and nobody would know.
  void check_cpus() {
    const auto usable = static_cast<std::int64_t>(std::thread::hardware_concurrency());
    if (usable > 0 && study_.task.cpus > usable)
      complain("task.resources.cpus", std::to_string(study_.task.cpus) + " for an attempt, but only " +
                                          std::to_string(usable) + " can be used here; lower it");
  }

  // Such a limit guards nothing: the kernel's own killer comes first, and takes whom it likes.
  void check_memory() {
    const std::int64_t pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    const budgets::Bytes limit = study_.attempt.memory;
    if (pages <= 0 || page <= 0 || limit.is_unlimited() || limit <= budgets::Bytes::of(pages * page)) return;
    add(found_.warnings, "budgets.attempt.memory",
        "is more than the " + bytes_text(pages * page >> 20 << 20) + " that this machine has: it guards nothing here");
  }

  // `built`: a build phase may yet make the files of the workspace.
  void check_phase(const std::string& phase, const core::PhaseSpec& spec, bool built) {
    if (spec.command.empty()) return;
    const std::string where = "task." + phase + ".command";
    const std::string& program = spec.command.front();
    if (program.find('{') != std::string::npos) return;
    if (program.find('/') == std::string::npos) {
      // Programs of ours lie beside the keeper, which adds its folder to the PATH.
      if (!program.starts_with("overnight-") && !found_in(path_, program)) complain(where, not_on_path(program));
    } else if (program.front() == '/' ? !is_program(program)
                                      : !built && !is_program(fs::path(study_.task.workspace) / program)) {
      complain(where, program + " is not there or cannot be executed" +
                          (program.front() == '/' ? "" : " (looked in the workspace " + study_.task.workspace + ")"));
    }
    check_script(where, spec.command, built);
  }

  std::string not_on_path(const std::string& program) const {
    std::string text = "\"" + program + "\" is not found on the PATH that the task will see (" + path_ + ")";
    if (found_in(environment("PATH", ""), program)) text += "; it is on yours: pass it on with task.env_pass: [PATH]";
    return text;
  }

  // "python3 train.py": the script must lie in the workspace.
  void check_script(const std::string& where, const std::vector<std::string>& command, bool built) {
    if (built || command.size() < 2 || command[1].starts_with("-") || command[1].find('{') != std::string::npos) return;
    const std::string name = fs::path(command[0]).filename().string();
    const std::string extension = fs::path(command[1]).extension().string();
    const bool script =
        (name.starts_with("python") && extension == ".py") || ((name == "sh" || name == "bash") && extension == ".sh");
    std::error_code ignored;
    if (script && !fs::exists(fs::path(study_.task.workspace) / command[1], ignored))
      complain(where, command[1] + " is not there" +
                          (study_.task.workspace.empty()
                               ? "; name the folder it lies in as task.workspace, or write its absolute path"
                               : " (looked in the workspace " + study_.task.workspace + ")"));
  }

  void check_proposer(std::size_t index) {
    const core::ProposerSpec& spec = study_.proposers[index];
    const std::string where = "proposers[" + std::to_string(index) + "]";
    if (!spec.command.empty()) {
      const std::string& program = spec.command.front();
      const bool found = program.find('/') == std::string::npos ? found_in(environment("PATH", keeper_path), program)
                                                                : is_program(program);
      if (!found) complain(where + ".command", program + " is not found or cannot be executed");
    }
    if (const auto passed = spec.settings.find("env_pass"); passed != spec.settings.end()) {
      std::istringstream names(passed->second);
      for (std::string name; names >> name;) must_be_set(where + ".env_pass", name);
    }
    if (const auto key = spec.settings.find("api_key_env"); key != spec.settings.end())
      must_be_set(where + ".api_key_env", key->second);
  }

  const core::Study& study_;
  const Places& places_;
  std::string path_;
  MachineFindings found_;
};

}  // namespace

MachineFindings check_machine(const Parsed& parsed) { return Machine(parsed).look(); }

}  // namespace overnight::study
