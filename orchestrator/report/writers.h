// A report in the forms that people and programs want. Pure: the same data gives the same text.
//
// html: one file that needs nothing else, no script, no network; for a browser, a phone, a printer. md: for a terminal
// or an issue. csv: all trials, one a row. json: all of it. Foreign texts are escaped in each.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "orchestrator/report/findings.h"
#include "orchestrator/report/report_data.h"

namespace overnight::report {

inline constexpr std::size_t rows_max = 40;      // of the ranked table in html and md, confirmed results apart
inline constexpr std::size_t rows_open_max = 5;  // of them shown at once in html; the others unfold
inline constexpr std::size_t notes_max = 40;     // shown; the last of those that matter
inline constexpr std::size_t study_bytes_max = 65'536;

enum class Format { html, markdown, csv, json };

std::string_view name_of(Format format);  // as on the command line: html md csv json
std::optional<Format> format_named(std::string_view name);

std::string write_report(const ReportData& data, const Findings& found, Format format);

// ---- what each form is made by; write_report is the way in ----

std::string to_html(const ReportData& data, const Findings& found);
std::string to_markdown(const ReportData& data, const Findings& found);
std::string to_csv(const ReportData& data, const Findings& found);
std::string to_json(const ReportData& data, const Findings& found);

// The study as pretty JSON, without what may be secret (webhook, values of variables that are named like keys).
std::string study_words(const core::Study& study);

}  // namespace overnight::report
