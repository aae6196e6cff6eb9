#include "orchestrator/proposers/command_proposer.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "budgets/invariant.h"
#include "orchestrator/proposers/command_wire.h"
#include "orchestrator/proposers/told.h"

namespace overnight::proposers {

CommandProposer::CommandProposer(core::Study study, CommandSettings settings)
    : study_(std::move(study)), settings_(std::move(settings)), wake_(eventfd(0, EFD_CLOEXEC)) {
  INVARIANT(wake_ >= 0, "the machine has a descriptor for us");
}

CommandProposer::~CommandProposer() {
  program_.reset();
  close(wake_);
}

ports::Answer CommandProposer::ask(const ports::AskRequest& request) {
  ports::Answer answer;
  std::string text;
  if (pollfd cancelled{wake_, POLLIN, 0}; poll(&cancelled, 1, 0) == 1) {
    answer.failure = "it was cancelled";
    return answer;
  }
  // A history that shrank is another run's: it is told from the start.
  if (program_ == nullptr || !program_->alive() || told_ > request.history.size()) {
    program_.reset();
    auto started = ChildProgram::start(settings_.program);
    if (!started) {
      answer.failure = told(started.error());
      return answer;
    }
    program_ = std::move(*started);
    told_ = 0;
    if (++starts_ > 1) answer.remark = "its program was started again (start " + std::to_string(starts_) + ")";
    text = hello_line(study_, settings_.name);
  }
  for (; told_ < request.history.size(); ++told_) text += tell_line(request.history[told_]);
  text += ask_line(request);
  const auto line = program_->exchange(text, settings_.timeout, wake_);
  auto read = line ? answer_of(*line, request, study_.space) : budgets::unexpected(line.error());
  if (!read) {
    program_.reset();
    answer.failure = told(read.error());
    const std::string& log = settings_.program.log;
    const bool ended = !line && line.error().find("status") != std::string::npos;
    if (ended && !log.empty()) answer.failure += "; what it wrote to stderr is in " + log;
    return answer;
  }
  if (!answer.remark.empty() && !read->remark.empty()) answer.remark += "; ";
  read->remark = answer.remark + read->remark;
  return std::move(*read);
}

void CommandProposer::cancel() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = write(wake_, &one, sizeof one);
}

}  // namespace overnight::proposers
