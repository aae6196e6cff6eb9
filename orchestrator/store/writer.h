// Writes batches, one transaction each, and keeps what the next one needs: the chain's newest link, the hash over all
// records, the next numbers. Owned by HomeStore; the database outlives it.
//
// After a failed batch it refuses all others: whether the failed one is on the disk is known only after opening anew.
#pragma once

#include <memory>
#include <optional>

#include "orchestrator/ports/journal.h"
#include "orchestrator/store/chain.h"

namespace overnight::store {

class Writer {
 public:
  static Stored<std::unique_ptr<Writer>> open(Database& database);
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Durable when it returns. Sequence numbers go on without a gap and epochs never go back, else it aborts.
  [[nodiscard]] Stored<void> append(const ports::Batch& batch);

  const Head& head() const { return head_; }

 private:
  explicit Writer(Database& database) : database_(database) {}

  Stored<void> prepare();
  void check(const ports::Batch& batch) const;
  void write_records(const ports::Batch& batch);
  void write(const core::ExperimentRecord& record);
  void write(const core::TrialRecord& record);
  void write(const core::AttemptRecord& record);
  void write(const core::Note& note);
  void write_row(const std::string& name, const std::string& text);
  void end_run(const core::RunId& run);
  void write_entry(const ports::Entry& entry, const std::string& records_hash);
  void write_outbox(const ports::Batch& batch);

  // Each does nothing once something failed: the first error is the batch's.
  void run(Statement& statement, Fields fields);
  bool find(Statement& statement, Fields key);  // whether there is a row; the statement stands on it
  void forget(const std::string& digest);       // of a row that is replaced
  void fail(StoreError error);

  Database& database_;
  Head head_;
  SetHash records_;
  std::int64_t next_study_ = 1, next_finish_ = 1, next_note_ = 1;
  std::optional<StoreError> error_;

  Statement begin_, commit_, rollback_;
  Statement put_study_, study_of_run_, put_experiment_, put_trial_, put_attempt_, put_note_;
  Statement digest_of_experiment_, finish_of_trial_, digest_of_attempt_;
  Statement put_row_, drop_row_, rows_of_run_, mark_ended_;
  Statement append_entry_, put_action_, drop_action_;
};

}  // namespace overnight::store
