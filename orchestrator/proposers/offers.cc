#include "orchestrator/proposers/offers.h"

#include <algorithm>
#include <cmath>

#include "orchestrator/proposers/strict_json.h"
#include "orchestrator/proposers/told.h"

namespace overnight::proposers {
namespace {

using budgets::Result;
using budgets::unexpected;
using nlohmann::json;

Result<core::ParamValue, std::string> value_of(const json& value) {
  if (value.is_boolean()) return core::ParamValue(value.get<bool>());
  if (value.is_number_integer()) {
    const auto whole = whole_number(value);
    if (!whole) return unexpected(std::string("is larger than 64 bits hold"));
    return core::ParamValue(*whole);
  }
  if (value.is_number_float()) {
    const double real = value.get<double>();
    if (!std::isfinite(real)) return unexpected(std::string("is not finite"));
    return core::ParamValue(real);
  }
  if (value.is_string()) {
    std::string text = value.get<std::string>();
    if (text.size() > text_value_bytes_max) return unexpected(std::string("is a text longer than any value can be"));
    return core::ParamValue(std::move(text));
  }
  return unexpected(std::string("is ") + (value.is_null() ? "null" : value.type_name()) + ", not a value");
}

Result<core::Proposal, std::string> proposal_of(const json& item, const core::Space& space,
                                                const std::set<core::ExperimentId>& known) {
  if (!item.is_object()) return unexpected(std::string(": must be an object with params"));
  core::Proposal proposal;
  bool has_params = false;
  for (const auto& [key, value] : item.items()) {
    if (key == "params") {
      auto params = params_of(value, space);
      if (!params) return unexpected(".params" + params.error());
      proposal.params = std::move(*params);
      has_params = true;
    } else if (key == "hypothesis") {
      if (!value.is_string() && !value.is_null()) return unexpected(std::string(".hypothesis: must be a text"));
      if (value.is_string()) proposal.hypothesis = told(value.get<std::string>(), hypothesis_bytes_max);
    } else if (key == "parents") {
      if (!value.is_array() && !value.is_null())
        return unexpected(std::string(".parents: must be a list of experiment numbers"));
      for (const json& parent : value) {
        const auto id = whole_number(parent);
        if (!id) return unexpected(std::string(".parents: must be a list of experiment numbers"));
        if (known.contains(core::ExperimentId{*id}) && proposal.parents.size() < parents_max)
          proposal.parents.push_back(core::ExperimentId{*id});
      }
    } else {
      return unexpected("." + told(key, 64) + ": is not a key of a proposal (params, hypothesis, parents)");
    }
  }
  if (!has_params) return unexpected(std::string(".params: is missing"));
  return proposal;
}

}  // namespace

Result<core::Params, std::string> params_of(const json& object, const core::Space& space) {
  if (!object.is_object()) return unexpected(std::string(": must be an object of parameters"));
  core::Params proposed;
  for (const auto& [name, value] : object.items()) {
    const core::Dimension* dimension = space.find(name);
    if (dimension == nullptr) return unexpected("." + told(name, 64) + ": is not a parameter of this study");
    if (value.is_null() && !dimension->when.empty()) continue;
    auto read = value_of(value);
    if (!read) return unexpected("." + name + ": " + read.error());
    proposed.emplace(name, std::move(*read));
  }
  auto point = core::canonical(space, proposed);
  if (!point) return unexpected("." + told(point.error().explain));
  return std::move(*point);
}

std::string Offers::remark() const {
  if (refused == 0) return "";
  return std::to_string(refused) + " of its proposals " + (refused == 1 ? "was" : "were") + " refused: " + problem;
}

Offers offers_of(const json& list, const core::Space& space, const std::set<core::ExperimentId>& known,
                 std::int64_t count) {
  Offers offers;
  const auto refuse = [&](const std::string& why, std::int64_t how_many) {
    offers.refused += how_many;
    if (offers.problem.empty()) offers.problem = why;
  };
  if (!list.is_array()) {
    refuse("proposals: must be a list", 1);
    return offers;
  }
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (static_cast<std::int64_t>(offers.proposals.size()) == count) {
      refuse("proposals: more than the " + std::to_string(count) + " that were asked for",
             static_cast<std::int64_t>(list.size() - i));
      break;
    }
    auto proposal = proposal_of(list[i], space, known);
    if (proposal) {
      offers.proposals.push_back(std::move(*proposal));
    } else {
      refuse("proposals[" + std::to_string(i) + "]" + proposal.error(), 1);
    }
  }
  if (list.empty()) offers.problem = "proposals: is empty";
  return offers;
}

json json_of(const core::ParamValue& value) {
  return std::visit([](const auto& one) { return json(one); }, value);
}

json json_of(const core::Params& params) {
  json object = json::object();
  for (const auto& [name, value] : params) object[name] = json_of(value);
  return object;
}

}  // namespace overnight::proposers
