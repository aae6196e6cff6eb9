#include "orchestrator/server/commands.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace overnight::server {
namespace {

using nlohmann::json;

constexpr std::size_t reason_bytes_max = 500;
constexpr std::size_t enqueued_max = 10'000;
constexpr std::int64_t amount_max = std::int64_t{1} << 60;  // of any budget: sums stay within 64 bits

struct Fields {
  std::optional<core::RunId> run;
  std::string reason;
};

// Never in the middle of a character: what is kept must be text for whoever reads it later.
std::string kept_of(const std::string& text) {
  std::size_t end = std::min(text.size(), reason_bytes_max);
  while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

core::ParamValue param_of(const json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (value.is_number()) return value.get<double>();
  if (value.is_string()) return value.get<std::string>();
  throw std::invalid_argument("a parameter is a number, a text or a truth value");
}

std::vector<core::Proposal> proposals_of(const json& list) {
  if (!list.is_array() || list.empty() || list.size() > enqueued_max)
    throw std::invalid_argument("\"proposals\" is a list of 1 to 10000 proposals");
  std::vector<core::Proposal> proposals;
  for (const json& one : list) {
    core::Proposal proposal;
    for (const auto& [name, value] : one.at("params").items()) proposal.params[name] = param_of(value);
    if (one.contains("hypothesis")) proposal.hypothesis = kept_of(one.at("hypothesis").get<std::string>());
    proposals.push_back(std::move(proposal));
  }
  return proposals;
}

template <typename Unit>
void regrant(const json& body, const char* name, budgets::Quantity<Unit>& grant) {
  if (!body.contains(name)) return;
  if (!body.at(name).is_number_integer()) throw std::invalid_argument(std::string(name) + ": is not a whole number");
  const auto count = body.at(name).get<std::int64_t>();
  if (count > amount_max) throw std::invalid_argument(std::string(name) + ": is larger than anything that makes sense");
  if (count < 0) throw std::invalid_argument(std::string(name) + ": a budget is not negative");
  grant = budgets::Quantity<Unit>::of(count);
}

core::BudgetChanged budget_of(const json& body, const core::RunId& run, const std::string& by,
                              const std::string& reason) {
  core::BudgetChanged changed{run, budgets::Cost::unlimited(), core::Millis::unlimited(), by, reason};
  const json& grant = body.at("grant");
  if (!grant.is_object() || grant.empty()) throw std::invalid_argument("\"grant\" names at least one budget");
  static const std::set<std::string> known{"slot_time", "gpu_time",   "experiments", "actions",
                                           "llm_cost",  "llm_tokens", "disk",        "wall"};
  for (const auto& [name, _] : grant.items()) {
    if (!known.contains(name)) throw std::invalid_argument("there is no budget \"" + name + "\"");
  }
  regrant(grant, "slot_time", changed.grant.slot_time);
  regrant(grant, "gpu_time", changed.grant.gpu_time);
  regrant(grant, "experiments", changed.grant.experiments);
  regrant(grant, "actions", changed.grant.actions);
  regrant(grant, "llm_cost", changed.grant.money);
  regrant(grant, "llm_tokens", changed.grant.tokens);
  regrant(grant, "disk", changed.grant.disk);
  regrant(grant, "wall", changed.wall);
  return changed;
}

Fields fields_of(const json& body) {
  Fields fields;
  if (body.contains("run") && !body.at("run").is_null()) fields.run = core::RunId{body.at("run").get<std::string>()};
  if (body.contains("reason")) fields.reason = kept_of(body.at("reason").get<std::string>());
  return fields;
}

core::Event made(const std::string& path, const json& body, const std::string& by) {
  const Fields fields = fields_of(body);
  const auto run = [&] {
    if (!fields.run) throw std::invalid_argument("\"run\" is missing");
    return *fields.run;
  };
  const auto reason = [&] {
    if (fields.reason.empty()) throw std::invalid_argument("\"reason\" is missing: it is kept in the journal");
    return fields.reason;
  };
  if (path == "halt")
    return core::HaltRequested{fields.run, by, "api", fields.reason.empty() ? "no reason given" : fields.reason};
  if (path == "hold") return core::HoldRequested{run(), by, reason()};
  if (path == "release") return core::ReleaseRequested{fields.run, by, reason()};
  if (path == "drain") return core::DrainRequested{run(), by};
  if (path == "stop") return core::StopRequested{run(), by};
  if (path == "enqueue") return core::Enqueued{run(), proposals_of(body.at("proposals")), by};
  if (path == "budget") return budget_of(body, run(), by, reason());
  throw std::out_of_range("there is no command \"" + path + "\"");
}

template <typename Unit>
void keep(budgets::Quantity<Unit>& changed, budgets::Quantity<Unit> grant) {
  if (changed.is_unlimited()) changed = grant;
}

}  // namespace

void keep_other_grants(core::BudgetChanged& changed, const core::Run& run) {
  const budgets::Cost& grant = run.ledger.grant();
  keep(changed.grant.slot_time, grant.slot_time);
  keep(changed.grant.gpu_time, grant.gpu_time);
  keep(changed.grant.experiments, grant.experiments);
  keep(changed.grant.actions, grant.actions);
  keep(changed.grant.money, grant.money);
  keep(changed.grant.tokens, grant.tokens);
  keep(changed.grant.disk, grant.disk);
  keep(changed.wall, run.wall_grant);
}

budgets::Result<core::Event, CommandRefusal> event_of(const std::string& path, const std::string& body,
                                                      const std::string& by) {
  try {
    return made(path, body.empty() ? json::object() : json::parse(body), by);
  } catch (const std::out_of_range& error) {
    return budgets::unexpected(CommandRefusal{404, error.what()});
  } catch (const std::exception& error) {
    return budgets::unexpected(CommandRefusal{400, error.what()});
  }
}

}  // namespace overnight::server
