#include "orchestrator/store/writer.h"

#include "budgets/invariant.h"
#include "orchestrator/store/queries.h"
#include "orchestrator/store/records.h"

namespace overnight::store {
namespace {

struct RowName {
  std::string_view run, part;  // "home" has no run
};

RowName split(std::string_view name) {
  const auto slash = name.rfind('/');
  if (slash == std::string_view::npos) return {{}, name};
  return {name.substr(0, slash), name.substr(slash + 1)};
}

bool has_records(const ports::Batch& batch) {
  return !batch.rows.empty() || !batch.experiments.empty() || !batch.trials.empty() || !batch.attempts.empty() ||
         !batch.notes.empty() || !batch.outbox.empty() || !batch.studies.empty() || !batch.ended.empty();
}

// The row with the digest over it as its last column.
Fields sealed(Fields fields, const core::Digest& digest) {
  fields.emplace_back(core::hex(digest));
  return fields;
}

}  // namespace

Stored<std::unique_ptr<Writer>> Writer::open(Database& database) {
  std::unique_ptr<Writer> writer(new Writer(database));
  const Stored<void> prepared = writer->prepare();
  if (!prepared) return budgets::unexpected(prepared.error());
  const Stored<Head> head = read_head(database);
  if (!head) return budgets::unexpected(head.error());
  writer->head_ = *head;
  if (!writer->records_.read(head->records_hash)) {
    return budgets::unexpected(corrupt(database.path(), "the journal's last entry has no hash over the records"));
  }
  for (const auto& [next, query] : {std::pair{&writer->next_study_, query::next_study},
                                    {&writer->next_finish_, query::next_finish},
                                    {&writer->next_note_, query::next_note}}) {
    const Stored<std::int64_t> number = database.integer(query);
    if (!number) return budgets::unexpected(number.error());
    *next = *number;
  }
  return writer;
}

Stored<void> Writer::prepare() {
  return prepare_all(database_, {{&begin_, query::begin},
                                 {&commit_, query::commit},
                                 {&rollback_, query::rollback},
                                 {&put_study_, query::put_study},
                                 {&study_of_run_, query::study_of_run},
                                 {&put_experiment_, query::put_experiment},
                                 {&put_trial_, query::put_trial},
                                 {&put_attempt_, query::put_attempt},
                                 {&put_note_, query::put_note},
                                 {&digest_of_experiment_, query::digest_of_experiment},
                                 {&finish_of_trial_, query::finish_of_trial},
                                 {&digest_of_attempt_, query::digest_of_attempt},
                                 {&put_row_, query::put_row},
                                 {&drop_row_, query::drop_row},
                                 {&rows_of_run_, query::rows_of_run},
                                 {&mark_ended_, query::mark_ended},
                                 {&append_entry_, query::append_entry},
                                 {&put_action_, query::put_action},
                                 {&drop_action_, query::drop_action}});
}

Stored<void> Writer::append(const ports::Batch& batch) {
  if (error_) return budgets::unexpected(*error_);
  check(batch);
  const Head before = head_;
  run(begin_, {});
  write_records(batch);
  for (std::size_t i = 0; i < batch.entries.size(); ++i) {
    const bool last = i + 1 == batch.entries.size();
    write_entry(batch.entries[i], last ? records_.hex() : "");
  }
  write_outbox(batch);
  run(commit_, {});
  if (!error_) return {};
  head_ = before;
  (void)rollback_.run({});  // fails where the failure itself ended the transaction
  return budgets::unexpected(*error_);
}

void Writer::check(const ports::Batch& batch) const {
  std::int64_t seq = head_.seq;
  std::int64_t epoch = head_.epoch;
  for (const ports::Entry& entry : batch.entries) {
    INVARIANT(core::number(entry.seq) == seq + 1, "journal entries follow each other without a gap");
    INVARIANT(core::number(entry.epoch) >= epoch, "epochs never go back");
    seq = core::number(entry.seq);
    epoch = core::number(entry.epoch);
  }
  INVARIANT(!batch.entries.empty() || !has_records(batch), "nothing changes without an input that caused it");
}

void Writer::write_records(const ports::Batch& batch) {
  for (const auto& [started, study] : batch.studies) {
    const bool told_before = find(study_of_run_, {started.text});
    study_of_run_.rewind();
    if (told_before) continue;  // a run is started once; what the first start said stands
    Fields fields{next_study_++, started.text, std::string_view(study)};
    records_.add(digest_of(study_domain, fields));
    run(put_study_, std::move(fields));
  }
  for (const auto& record : batch.experiments) write(record);
  for (const auto& record : batch.trials) write(record);
  for (const auto& record : batch.attempts) write(record);
  for (const auto& note : batch.notes) write(note);
  for (const auto& [name, text] : batch.rows) write_row(name, text);
  for (const core::RunId& ended : batch.ended) end_run(ended);
}

void Writer::write(const core::ExperimentRecord& record) {
  if (find(digest_of_experiment_, {core::number(record.experiment)})) forget(digest_of_experiment_.text(0));
  digest_of_experiment_.rewind();
  Fields fields = fields_of(record);
  const core::Digest digest = digest_of(experiment_domain, fields);
  records_.add(digest);
  run(put_experiment_, sealed(std::move(fields), digest));
}

void Writer::write(const core::TrialRecord& record) {
  std::int64_t finish = next_finish_;
  if (find(finish_of_trial_, {core::number(record.trial)})) {
    finish = finish_of_trial_.integer(0);
    forget(finish_of_trial_.text(1));
  } else {
    ++next_finish_;
  }
  finish_of_trial_.rewind();
  Fields fields = fields_of(record, finish);
  const core::Digest digest = digest_of(trial_domain, fields);
  records_.add(digest);
  run(put_trial_, sealed(std::move(fields), digest));
}

void Writer::write(const core::AttemptRecord& record) {
  if (find(digest_of_attempt_, {core::number(record.attempt)})) forget(digest_of_attempt_.text(0));
  digest_of_attempt_.rewind();
  Fields fields = fields_of(record);
  std::string gpus = gpus_of(record);
  const core::Digest digest = attempt_digest(fields, gpus);
  records_.add(digest);
  fields = sealed(std::move(fields), digest);
  fields.emplace_back(std::move(gpus));
  run(put_attempt_, std::move(fields));
}

void Writer::write(const core::Note& note) {
  Fields fields = fields_of(note, next_note_++);
  records_.add(digest_of(note_domain, fields));
  run(put_note_, std::move(fields));
}

void Writer::write_row(const std::string& name, const std::string& text) {
  const RowName row = split(name);
  if (text.empty()) {
    run(drop_row_, {row.run, row.part});
  } else {
    run(put_row_, {row.run, row.part, std::string_view(text)});
  }
}

// From now on the run's rows are records: final, and part of the hash over all records.
void Writer::end_run(const core::RunId& run_id) {
  if (error_) return;
  rows_of_run_.start({run_id.text});
  Stored<bool> row = rows_of_run_.step();
  for (; row && *row; row = rows_of_run_.step()) {
    const bool already = rows_of_run_.integer(2) != 0;
    if (already) continue;
    records_.add(digest_of(ended_row_domain, {run_id.text, rows_of_run_.text(0), rows_of_run_.text(1)}));
  }
  if (!row) fail(row.error());
  run(mark_ended_, {run_id.text});
}

void Writer::write_entry(const ports::Entry& entry, const std::string& records_hash) {
  Fields fields{core::number(entry.seq),
                core::number(entry.epoch),
                entry.wall.ms(),
                std::string_view(entry.event),
                std::string_view(entry.input),
                std::string_view(entry.actions),
                std::string_view(entry.state_hash),
                records_hash};
  std::string hash = chain_hash(head_.hash, fields);
  fields.emplace_back(std::move(head_.hash));
  fields.emplace_back(hash);
  run(append_entry_, std::move(fields));
  head_ = {core::number(entry.seq), core::number(entry.epoch), entry.wall.ms(), entry.state_hash, records_hash,
           std::move(hash)};
}

void Writer::write_outbox(const ports::Batch& batch) {
  for (const core::NumberedAction& action : batch.outbox) {
    Fields fields{core::number(action.id), core::action_to_json(action)};
    const core::Digest digest = digest_of(action_domain, fields);
    run(put_action_, sealed(std::move(fields), digest));
  }
  for (const core::ActionId done : batch.performed) run(drop_action_, {core::number(done)});
}

void Writer::run(Statement& statement, Fields fields) {
  if (error_) return;
  const Stored<void> done = statement.run(std::move(fields));
  if (!done) fail(done.error());
}

bool Writer::find(Statement& statement, Fields key) {
  if (error_) return false;
  statement.start(std::move(key));
  const Stored<bool> row = statement.step();
  if (!row) fail(row.error());
  return row && *row;
}

void Writer::forget(const std::string& digest) {
  SetHash replaced;
  if (!replaced.read(digest)) return fail(corrupt(database_.path(), "a record's digest is no hash"));
  records_.remove(replaced.digest());
}

void Writer::fail(StoreError error) {
  if (!error_) error_ = std::move(error);
}

}  // namespace overnight::store
