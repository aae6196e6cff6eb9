// What the phases reported, last report per name and phase. Values.
//
// A report that is no finite number is remembered as bad, with its words: if it is the last one for the objective, the
// attempt ends with bad_metric. Names are bounded in number and length; what goes beyond is counted.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "workers/protocol/pattern.h"
#include "workers/protocol/receipt.h"

namespace overnight::workers {

inline constexpr std::size_t metric_name_bytes_max = 128;
inline constexpr std::size_t metric_line_bytes_max = 4096;  // longer lines are no reports
inline constexpr std::int64_t metric_messages_per_second =
    10;  // per name, to the orchestrator; the receipt has the last

struct Report {
  std::string name;
  std::optional<double> value;  // none: not a finite number, see `words`
  std::string words;
  std::int64_t step = -1;
};

// A line of the metrics file; nothing if it is not a report at all. Numbers that JSON does not know (NaN, Infinity) are
// understood, as bad values: Python writes them.
std::optional<Report> report_from_line(std::string_view line);

// `words` as a finite number.
std::optional<double> finite_number(std::string_view words);

class MetricBook {
 public:
  // `evaluated`: the attempt has an evaluate phase. Then its word alone counts for the objective: what a training
  // program says of itself is no score where somebody else was asked to judge it.
  explicit MetricBook(std::string objective, bool evaluated = false)
      : objective_(std::move(objective)), evaluated_(evaluated) {}

  void note(Phase, const Report&);
  void note_bad_line() { ++bad_lines_; }

  // The objective's last report: of evaluate if it reported, else of train unless there is an evaluate phase.
  const Report* objective() const;
  std::map<std::string, MetricReceipt> receipts() const;
  std::int64_t bad_lines() const { return bad_lines_; }
  std::int64_t names_dropped() const { return names_dropped_; }

 private:
  std::string objective_;
  bool evaluated_;
  std::map<Phase, std::map<std::string, Report>> reports_;
  std::int64_t bad_lines_ = 0;
  std::int64_t names_dropped_ = 0;
};

// Cuts bytes into lines; lines over the bound are swallowed and counted.
class LineCutter {
 public:
  void append(std::string_view bytes, const std::function<void(std::string_view)>& line);
  void finish(const std::function<void(std::string_view)>& line);  // the last line may lack its end
  std::int64_t too_long() const { return too_long_; }

 private:
  void end_line(std::string_view line, const std::function<void(std::string_view)>& use);
  std::string open_;
  bool swallowing_ = false;
  std::int64_t too_long_ = 0;
};

// The study's patterns over one phase's stdout.
class StdoutMetrics {
 public:
  explicit StdoutMetrics(const std::map<std::string, std::string>& patterns);
  bool any() const { return !patterns_.empty(); }
  std::vector<Report> match(std::string_view line) const;

 private:
  std::vector<std::pair<std::string, Pattern>> patterns_;
};

}  // namespace overnight::workers
