#include "workers/protocol/message.h"

#include "workers/protocol/fields.h"

namespace overnight::workers {

template <typename Visitor>
void describe(Visitor& field, GrantLease& m) {
  field("lease_ms", m.lease_ms);
}
template <typename Visitor>
void describe(Visitor& field, Stop& m) {
  field("level", m.level);
  field("reason", m.reason);
}
template <typename Visitor>
void describe(Visitor& field, KeeperReady& m) {
  field("pid", m.pid);
  field("kill_mechanism", m.kill_mechanism);
}
template <typename Visitor>
void describe(Visitor& field, PhaseStarted& m) {
  field("phase", m.phase);
  field("pid", m.pid);
}
template <typename Visitor>
void describe(Visitor& field, MetricSeen& m) {
  field("name", m.name);
  field("value", m.value);
  field("step", m.step);
  field("phase", m.phase);
}
template <typename Visitor>
void describe(Visitor& field, Ended& m) {
  field("cause", m.cause);
}

namespace {

constexpr std::string_view type_of(const GrantLease&) { return "grant_lease"; }
constexpr std::string_view type_of(const Stop&) { return "stop"; }
constexpr std::string_view type_of(const KeeperReady&) { return "keeper_ready"; }
constexpr std::string_view type_of(const PhaseStarted&) { return "phase_started"; }
constexpr std::string_view type_of(const MetricSeen&) { return "metric_seen"; }
constexpr std::string_view type_of(const Ended&) { return "ended"; }

template <typename Variant, std::size_t... I>
void read_body(Variant& body, const std::string& type, const nlohmann::json& data, std::index_sequence<I...>) {
  const auto try_one = [&](auto index) {
    using Body = std::variant_alternative_t<decltype(index)::value, Variant>;
    if (type != type_of(Body{})) return false;
    Body value;
    Reader::read(data, value, "data");
    body = std::move(value);
    return true;
  };
  if (!(try_one(std::integral_constant<std::size_t, I>{}) || ...)) throw Refused("type", "no message has this name");
}

}  // namespace

std::string to_json_line(const Message& message) {
  nlohmann::json json{{"attempt", message.attempt}, {"nonce", message.nonce}, {"sequence", message.sequence}};
  std::visit(
      [&](const auto& body) {
        json["type"] = std::string(type_of(body));
        json["data"] = Writer::json_of(body);
      },
      message.body);
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
}

budgets::Result<Message, ProtocolError> message_from_json(std::string_view line) {
  return parsed<Message>([&]() -> Message {
    const auto json = parse_strictly(line, message_bytes_max);
    Message message;
    std::string type;
    Reader field(json, "");
    field("attempt", message.attempt);
    field("nonce", message.nonce);
    field("sequence", message.sequence);
    field("type", type);
    nlohmann::json data;
    field("data", data);
    field.finish();
    read_body(message.body, type, data, std::make_index_sequence<std::variant_size_v<decltype(message.body)>>{});
    return message;
  });
}

}  // namespace overnight::workers
