#include "orchestrator/proposers/command_wire.h"

#include "orchestrator/proposers/offers.h"
#include "orchestrator/proposers/strict_json.h"
#include "orchestrator/proposers/told.h"

namespace overnight::proposers {
namespace {

using budgets::Result;
using budgets::unexpected;
using nlohmann::json;

std::string line_of(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"; }

const char* name_of(core::Scale scale) { return scale == core::Scale::log ? "log" : "linear"; }

json domain_of(const core::FloatRange& range) {
  return {{"type", "float"}, {"low", range.low}, {"high", range.high}, {"scale", name_of(range.scale)}};
}
json domain_of(const core::IntRange& range) {
  return {
      {"type", "int"}, {"low", range.low}, {"high", range.high}, {"step", range.step}, {"scale", name_of(range.scale)}};
}
json values_of(const std::vector<core::ParamValue>& values) {
  json list = json::array();
  for (const core::ParamValue& value : values) list.push_back(json_of(value));
  return list;
}
json domain_of(const core::Choice& choice) { return {{"type", "choice"}, {"values", values_of(choice.values)}}; }

json space_of(const core::Space& space) {
  json list = json::array();
  for (const core::Dimension& dimension : space.dimensions) {
    json one = std::visit([](const auto& domain) { return domain_of(domain); }, dimension.domain);
    one["name"] = dimension.name;
    for (const auto& [name, values] : dimension.when) one["when"][name] = values_of(values);
    list.push_back(std::move(one));
  }
  return list;
}

bool has_only(const json& object, std::initializer_list<std::string_view> keys, std::string& unknown) {
  for (const auto& [key, _] : object.items()) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      unknown = told(key, 64);
      return false;
    }
  }
  return true;
}

Result<ports::Answer, std::string> offers_answer(const json& object, const ports::AskRequest& request,
                                                 const core::Space& space) {
  std::string unknown;
  if (!has_only(object, {"type", "ask", "proposals", "exhausted"}, unknown))
    return unexpected("its offers have a key that is not known: " + unknown);
  const auto proposals = object.find("proposals");
  if (proposals == object.end() || !proposals->is_array())
    return unexpected(std::string("its offers have no list of proposals"));
  ports::Answer answer;
  if (const auto exhausted = object.find("exhausted"); exhausted != object.end()) {
    if (!exhausted->is_boolean()) return unexpected(std::string("exhausted must be true or false"));
    answer.exhausted = exhausted->get<bool>();
  }
  std::set<core::ExperimentId> known;
  for (const ports::KnownTrial& trial : request.history) known.insert(trial.experiment);
  Offers offers = offers_of(*proposals, space, known, request.count);
  answer.proposals = std::move(offers.proposals);
  answer.refused = offers.refused;
  if (answer.proposals.empty() && !answer.exhausted) {
    answer.failure = "it offered nothing usable: " + offers.problem;
  } else {
    answer.remark = offers.remark();
  }
  return answer;
}

}  // namespace

std::string hello_line(const core::Study& study, const std::string& proposer) {
  return line_of({{"type", "hello"},
                  {"protocol", wire_protocol},
                  {"study", study.name},
                  {"proposer", proposer},
                  {"objective",
                   {{"metric", study.objective.metric},
                    {"direction", study.objective.direction == core::Direction::minimize ? "minimize" : "maximize"},
                    {"minimum_effect", study.objective.minimum_effect}}},
                  {"space", space_of(study.space)},
                  {"baseline", json_of(study.baseline)}});
}

std::string tell_line(const ports::KnownTrial& trial) {
  json line = {{"type", "tell"},
               {"experiment", core::number(trial.experiment)},
               {"params", json_of(trial.params)},
               {"score", nullptr},
               {"proposer", trial.proposer},
               {"hypothesis", trial.hypothesis}};
  if (trial.score) line["score"] = *trial.score;
  if (!trial.score) line["failure"] = trial.failure;
  return line_of(line);
}

std::string ask_line(const ports::AskRequest& request) {
  json pending = json::array();
  for (const core::Params& params : request.pending) pending.push_back(json_of(params));
  return line_of({{"type", "ask"},
                  {"ask", core::number(request.ask)},
                  {"count", request.count},
                  {"seed", request.seed % 0x7fffffff},  // every language and library takes 31 bits
                  {"pending", std::move(pending)}});
}

Result<ports::Answer, std::string> answer_of(const std::string& line, const ports::AskRequest& request,
                                             const core::Space& space) {
  const auto parsed = parse_strictly(line, wire_line_bytes_max);
  if (!parsed) return unexpected("its line cannot be read: " + parsed.error());
  if (!parsed->is_object()) return unexpected(std::string("its line is no JSON object"));
  const std::string type = text_field(*parsed, "type");
  if (type != "offers" && type != "failure")
    return unexpected("its line is neither offers nor failure, but \"" + told(type, 64) + "\"");
  const auto ask = parsed->find("ask");
  const auto number = ask == parsed->end() ? std::nullopt : whole_number(*ask);
  if (number != core::number(request.ask))
    return unexpected("it answers ask " + (number ? std::to_string(*number) : std::string("without a number")) +
                      " where ask " + std::to_string(core::number(request.ask)) + " was put to it");
  if (type == "offers") return offers_answer(*parsed, request, space);
  std::string unknown;
  if (!has_only(*parsed, {"type", "ask", "reason"}, unknown))
    return unexpected("its failure has a key that is not known: " + unknown);
  ports::Answer answer;
  const std::string reason = told(text_field(*parsed, "reason"));
  answer.failure = reason.empty() ? "it failed and gave no reason" : reason;
  return answer;
}

}  // namespace overnight::proposers
