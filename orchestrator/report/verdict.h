// The verdict of a run: what may be claimed, in words that a lead can repeat. Pure; used by findings.cc alone.
#pragma once

#include "orchestrator/report/findings.h"

namespace overnight::report {

// How much better than the baseline; INVARIANT: there is one.
evals::Difference gain_over_baseline(const core::Run& run, const Result& result, const Findings& found,
                                     double confidence);

Verdict verdict_of(const ReportData& data, const Findings& found);

}  // namespace overnight::report
