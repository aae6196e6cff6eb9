// The proposer `command`: any program that speaks ask and tell in JSON lines over its stdin and stdout
// (docs/proposer-protocol.md).
//
// A resource; owns the program while it lives. It is started at the first ask, told what finished since the last one,
// and asked. Whatever it does wrong (it ends, is late, or writes what cannot be read) is the failure of that ask, and
// its end: the next ask starts it anew and tells it the whole history again. The core's back-off bounds how often that
// happens.
#pragma once

#include <atomic>
#include <memory>

#include "orchestrator/ports/proposer.h"
#include "orchestrator/proposers/child_program.h"

namespace overnight::proposers {

struct CommandSettings {
  ProgramSpec program;
  std::string name;                                 // of the proposer in the study
  budgets::Millis timeout = budgets::seconds(300);  // of one ask
};

class CommandProposer final : public ports::Proposer {
 public:
  CommandProposer(core::Study study, CommandSettings settings);
  ~CommandProposer() override;

  // What the program itself spends is not ours to govern: it has no key of ours.
  budgets::Cost worst_case() const override { return {}; }
  ports::Answer ask(const ports::AskRequest& request) override;
  void cancel() override;

 private:
  core::Study study_;
  CommandSettings settings_;
  std::unique_ptr<ChildProgram> program_;
  std::size_t told_ = 0;  // finished trials that the program knows
  std::int64_t starts_ = 0;
  int wake_ = -1;  // eventfd; readable for good once cancelled
};

}  // namespace overnight::proposers
