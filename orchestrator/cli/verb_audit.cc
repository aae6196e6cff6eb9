// audit verify: whether the journal is what was written.
#include <iostream>
#include <nlohmann/json.hpp>

#include "orchestrator/cli/exit_codes.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/store/audit.h"

namespace overnight::cli {
namespace {

int code_of(store::AuditVerdict::Kind kind) {
  switch (kind) {
    case store::AuditVerdict::Kind::intact:
      return exit_done;
    case store::AuditVerdict::Kind::tampered:
      return exit_tampered;
    case store::AuditVerdict::Kind::truncated:
      return exit_truncated;
    case store::AuditVerdict::Kind::unreadable:
      return exit_unreadable;
  }
  return exit_unreadable;
}

}  // namespace

void add_audit(CLI::App& app, Common& common) {
  static bool as_json = false;
  CLI::App* audit = app.add_subcommand("audit", "the journal: what was decided, and proof that nobody changed it");
  audit->require_subcommand(1);
  CLI::App* verify = audit->add_subcommand("verify", "check the hash chain of the journal");
  verify->add_flag("--json", as_json, "print JSON");
  verify->callback([&] {
    common.chosen = [&] {
      const store::AuditVerdict verdict = store::verify(common.home().string());
      const std::string word(store::name_of(verdict.kind));
      if (as_json) {
        std::cout << nlohmann::json{{"verdict", word},
                                    {"entries", verdict.entries},
                                    {"first_bad_seq", verdict.first_bad_seq ? nlohmann::json(*verdict.first_bad_seq)
                                                                            : nlohmann::json(nullptr)},
                                    {"head", verdict.head_hash},
                                    {"explain", verdict.explain}}
                         .dump()
                  << "\n";
      } else {
        std::cout << word << ": " << verdict.explain << "\n";
        if (verdict.kind == store::AuditVerdict::Kind::intact) std::cout << "head " << verdict.head_hash << "\n";
      }
      return code_of(verdict.kind);
    };
  });
}

}  // namespace overnight::cli
