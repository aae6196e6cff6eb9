#include "orchestrator/store/records.h"

#include <cmath>

#include "orchestrator/core/codec.h"

namespace overnight::store {
namespace {

using nlohmann::json;

// JSON knows no infinity: what a worker reported as one is kept as text.
std::string metrics_to_json(const std::map<std::string, double>& metrics) {
  core::JsonText out;
  out.begin_object();
  for (const auto& [name, value] : metrics) {
    out.string(name);
    out.colon();
    if (std::isfinite(value)) {
      out.real(value);
    } else {
      out.string(std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
    }
  }
  out.end_object();
  return out.take();
}

std::map<std::string, double> metrics_from_json(const json& j) {
  std::map<std::string, double> metrics;
  for (const auto& [name, value] : j.items()) {
    if (value.is_number()) {
      metrics[name] = value.get<double>();
    } else {
      const auto text = value.get<std::string>();
      metrics[name] = text == "nan" ? std::nan("") : text == "inf" ? HUGE_VAL : -HUGE_VAL;
    }
  }
  return metrics;
}

Value score_value(const std::optional<double>& score) {
  if (!score || std::isnan(*score)) return std::monostate{};
  return *score;
}

// `named` must know `text`; throws otherwise, caught below.
template <typename Named>
auto word(Named named, const std::string& text) {
  const auto found = named(text);
  if (!found) throw std::invalid_argument("unknown word \"" + text + "\"");
  return *found;
}

std::string text_of_word(std::string_view word) { return std::string(word); }

// Reading stops at third-party exceptions here.
template <typename Record, typename Read>
budgets::Result<Record, std::string> guarded(std::string_view table, std::int64_t number, Read read) {
  try {
    Record record;
    read(record);
    return record;
  } catch (const std::exception& error) {
    return budgets::unexpected(std::string(table) + " " + std::to_string(number) + ": " + error.what());
  }
}

}  // namespace

Fields fields_of(const core::ExperimentRecord& r) {
  return {core::number(r.experiment),
          r.run.text,
          core::json_text(r.params),
          r.hash,
          r.proposer,
          r.hypothesis,
          core::json_text(r.parents),
          text_of_word(name_of(r.purpose)),
          r.status,
          r.admitted.ms(),
          r.history_cursor};
}

budgets::Result<core::ExperimentRecord, std::string> experiment_of(const Statement& row) {
  return guarded<core::ExperimentRecord>("experiment", row.integer(0), [&](core::ExperimentRecord& r) {
    r.experiment = core::ExperimentId{row.integer(0)};
    r.run.text = row.text(1);
    json::parse(row.text(2)).get_to(r.params);
    r.hash = row.text(3);
    r.proposer = row.text(4);
    r.hypothesis = row.text(5);
    json::parse(row.text(6)).get_to(r.parents);
    r.purpose = word(core::purpose_named, row.text(7));
    r.status = row.text(8);
    r.admitted = core::WallTime::at(row.integer(9));
    r.history_cursor = row.integer(10);
  });
}

Fields fields_of(const core::TrialRecord& r, std::int64_t finish) {
  return {finish,
          core::number(r.trial),
          core::number(r.experiment),
          r.run.text,
          text_of_word(name_of(r.purpose)),
          r.seed,
          text_of_word(name_of(r.cause)),
          text_of_word(name_of(r.phase)),
          r.detail,
          score_value(r.score),
          std::int64_t{r.self_reported},
          metrics_to_json(r.metrics),
          r.attempts,
          core::number(r.last_attempt),
          r.used.slot_time.count(),
          r.used.gpu_time.count(),
          r.used.experiments.count(),
          r.used.actions.count(),
          r.used.money.count(),
          r.used.tokens.count(),
          r.used.disk.count(),
          r.finished.ms()};
}

budgets::Result<core::TrialRecord, std::string> trial_of(const Statement& row) {
  return guarded<core::TrialRecord>("trial", row.integer(1), [&](core::TrialRecord& r) {
    r.trial = core::TrialId{row.integer(1)};
    r.experiment = core::ExperimentId{row.integer(2)};
    r.run.text = row.text(3);
    r.purpose = word(core::purpose_named, row.text(4));
    r.seed = row.integer(5);
    r.cause = word(workers::cause_named, row.text(6));
    r.phase = word(workers::phase_named, row.text(7));
    r.detail = row.text(8);
    if (!row.is_null(9)) r.score = row.real(9);
    r.self_reported = row.integer(10) != 0;
    r.metrics = metrics_from_json(json::parse(row.text(11)));
    r.attempts = row.integer(12);
    r.last_attempt = core::AttemptId{row.integer(13)};
    r.used = {budgets::SlotMillis::of(row.integer(14)),  budgets::GpuMillis::of(row.integer(15)),
              budgets::Experiments::of(row.integer(16)), budgets::Actions::of(row.integer(17)),
              budgets::MicroUsd::of(row.integer(18)),    budgets::Tokens::of(row.integer(19)),
              budgets::Bytes::of(row.integer(20))};
    r.finished = core::WallTime::at(row.integer(21));
  });
}

Fields fields_of(const core::AttemptRecord& r) {
  return {core::number(r.attempt),
          core::number(r.trial),
          core::number(r.experiment),
          r.run.text,
          core::number(r.slot),
          text_of_word(name_of(r.cause)),
          text_of_word(name_of(r.phase)),
          r.detail,
          r.log_tail,
          r.launched.ms(),
          r.gone.ms(),
          r.took.count(),
          r.killed_in.count(),
          core::json_text(r.phase_ms),
          r.memory_peak_bytes,
          std::int64_t{r.disturbed}};
}

std::string gpus_of(const core::AttemptRecord& r) { return r.gpus.empty() ? "" : core::json_text(r.gpus); }

core::Digest attempt_digest(Fields fields, std::string_view gpus) {
  if (!gpus.empty()) fields.emplace_back(gpus);
  return digest_of(attempt_domain, fields);
}

budgets::Result<core::AttemptRecord, std::string> attempt_of(const Statement& row) {
  return guarded<core::AttemptRecord>("attempt", row.integer(0), [&](core::AttemptRecord& r) {
    r.attempt = core::AttemptId{row.integer(0)};
    r.trial = core::TrialId{row.integer(1)};
    r.experiment = core::ExperimentId{row.integer(2)};
    r.run.text = row.text(3);
    r.slot = core::SlotId{row.integer(4)};
    r.cause = word(workers::cause_named, row.text(5));
    r.phase = word(workers::phase_named, row.text(6));
    r.detail = row.text(7);
    r.log_tail = row.text(8);
    r.launched = core::WallTime::at(row.integer(9));
    r.gone = core::WallTime::at(row.integer(10));
    r.took = core::Millis::of(row.integer(11));
    r.killed_in = core::Millis::of(row.integer(12));
    json::parse(row.text(13)).get_to(r.phase_ms);
    r.memory_peak_bytes = row.integer(14);
    r.disturbed = row.integer(15) != 0;
    if (const std::string gpus = row.text(17); !gpus.empty()) json::parse(gpus).get_to(r.gpus);
  });
}

Fields fields_of(const core::Note& note, std::int64_t number) {
  return {number, note.run.text, note.wall.ms(), note.kind, note.text};
}

core::Note note_of(const Statement& row) {
  return {{row.text(1)}, core::WallTime::at(row.integer(2)), row.text(3), row.text(4)};
}

}  // namespace overnight::store
