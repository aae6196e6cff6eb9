// The tables of the page. Pure; used by html.cc alone. Each is empty when it would have no rows.
#pragma once

#include <string>

#include "orchestrator/report/findings.h"

namespace overnight::report {

std::string ranking_table(const ReportData& data, const Findings& found);
std::string tradeoffs_table(const ReportData& data, const Findings& found);
std::string failures_table(const ReportData& data, const Findings& found);
std::string proposers_table(const ReportData& data, const Findings& found);
std::string notes_table(const ReportData& data);

}  // namespace overnight::report
