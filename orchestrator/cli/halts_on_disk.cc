#include "orchestrator/cli/halts_on_disk.h"

namespace overnight::cli {
namespace {

namespace fs = std::filesystem;

std::optional<core::HaltRequested> halt_at(const std::optional<core::RunId>& run, const shell::LatchFile& latch,
                                           const fs::path& request) {
  const auto closed = latch.read();
  if (closed) return core::HaltRequested{run, closed->by, closed->path, closed->reason};
  std::error_code ignored;
  if (!fs::exists(fs::symlink_status(request, ignored))) return std::nullopt;
  const core::HaltRequested asked{run, "file", "file", "HALT file " + request.string()};
  (void)latch.close({asked.by, asked.path, asked.reason});  // the journal takes it in any case
  return asked;
}

std::string words_at(const std::string& what, const shell::LatchFile& latch, const fs::path& request,
                     const std::string& lifted_by) {
  std::error_code ignored;
  if (const auto closed = latch.exists() ? latch.read() : std::nullopt)
    return what + " is latched by " + closed->by + " (" + closed->path + "): " + closed->reason + "; " + lifted_by +
           " lifts that";
  if (fs::exists(fs::symlink_status(request, ignored)))
    return what + " has a HALT file, " + request.string() + ": nothing starts before " + lifted_by;
  return "";
}

}  // namespace

shell::LatchFile latch_of(const fs::path& home) { return shell::LatchFile(home / "latch"); }
shell::LatchFile latch_of(const fs::path& home, const core::RunId& run) {
  return shell::LatchFile(home / "runs" / run.text / "latch");
}

fs::path halt_file(const fs::path& home) { return home / "HALT"; }
fs::path halt_file(const fs::path& home, const core::RunId& run) { return home / "runs" / run.text / "HALT"; }

std::optional<core::HaltRequested> halt_on_disk(const fs::path& home, const std::optional<core::RunId>& run) {
  return run ? halt_at(run, latch_of(home, *run), halt_file(home, *run))
             : halt_at(run, latch_of(home), halt_file(home));
}

std::vector<core::HaltRequested> halts_on_disk(const fs::path& home, const core::State& state) {
  std::vector<core::HaltRequested> found;
  const auto look = [&](const std::optional<core::RunId>& run) {
    if (auto halt = halt_on_disk(home, run)) found.push_back(std::move(*halt));
  };
  if (!state.latch) look(std::nullopt);
  for (const auto& [id, run] : state.runs) {
    if (!run.latch) look(id);
  }
  return found;
}

std::string latch_words(const fs::path& home, const std::optional<core::RunId>& run) {
  std::string words = words_at("this home", latch_of(home), halt_file(home), "overnight release --reason WHY");
  if (!words.empty() || !run) return words;
  return words_at("run " + run->text, latch_of(home, *run), halt_file(home, *run),
                  "overnight release " + run->text + " --reason WHY");
}

budgets::Result<void, std::string> lift_on_disk(const fs::path& home, const std::optional<core::RunId>& run) {
  std::error_code failed;
  const fs::path request = run ? halt_file(home, *run) : halt_file(home);
  fs::remove(request, failed);
  if (failed)
    return budgets::unexpected(request.string() + ": cannot be removed, and would halt again: " + failed.message());
  return (run ? latch_of(home, *run) : latch_of(home)).open_again();
}

}  // namespace overnight::cli
