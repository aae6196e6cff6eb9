#include "workers/protocol/order.h"

#include "workers/protocol/fields.h"
#include "workers/protocol/pattern.h"

namespace overnight::workers {

template <typename Visitor>
void describe(Visitor& field, PhaseOrder& p) {
  field("phase", p.phase);
  field("command", p.command);
  field("timeout_ms", p.timeout_ms);
  field("budget_ms", p.budget_ms);
  field("stop_signal", p.stop_signal);
  field("grace_ms", p.grace_ms);
  field("metrics", p.metrics);
  field("env", p.env);
  field("secrets", p.secrets);
  field("hidden", p.hidden);
}

template <typename Visitor>
void describe(Visitor& field, Limits& l) {
  field("wall_ms", l.wall_ms);
  field("memory_bytes", l.memory_bytes);
  field("disk_bytes", l.disk_bytes);
  field("inodes", l.inodes);
  field("free_floor_bytes", l.free_floor_bytes);
  field("log_bytes", l.log_bytes);
  field("processes", l.processes);
}

template <typename Visitor>
void describe(Visitor& field, SeedReplacement& r) {
  field("file", r.file);
  field("pattern", r.pattern);
}

template <typename Visitor>
void describe(Visitor& field, Order& o) {
  field("home", o.home);
  field("run", o.run);
  field("experiment", o.experiment);
  field("trial", o.trial);
  field("attempt", o.attempt);
  field("epoch", o.epoch);
  field("nonce", o.nonce);
  field("directory", o.directory);
  field("enclosure", o.enclosure);
  field("workspace", o.workspace);
  field("experiment_json", o.experiment_json);
  field("phases", o.phases);
  field("env", o.env);
  field("env_pass", o.env_pass);
  field("env_secret", o.env_secret);
  field("mounts", o.mounts);
  field("cpus", o.cpus);
  field("gpus", o.gpus);
  field("seed_replacements", o.seed_replacements);
  field("seed", o.seed);
  field("objective", o.objective);
  field("lease_ms", o.lease_ms);
  field("limits", o.limits);
}

// A versioned envelope, so that an old keeper says "version" and not "unknown field" to a new orchestrator.
struct OrderFile {
  std::int64_t version = protocol_version;
  Order order;
};

template <typename Visitor>
void describe(Visitor& field, OrderFile& file) {
  field("version", file.version);
  field("order", file.order);
}

namespace {

void need(bool holds, const std::string& where, const std::string& why) {
  if (!holds) throw Refused(where, why);
}

void check_env(const std::map<std::string, std::string>& env, const std::string& where) {
  for (const auto& [name, value] : env) {
    need(!name.empty() && name.find('=') == std::string::npos, where, "has a name that is empty or contains '='");
  }
}

void check_pattern(const std::string& pattern, const std::string& where) {
  const auto compiled = Pattern::compile(pattern);
  if (!compiled) throw Refused(where, compiled.error().explain);
}

void check_phase(const PhaseOrder& phase, const std::string& where) {
  need(!phase.command.empty() && !phase.command.front().empty(), where + ".command", "must name a program");
  need(phase.timeout_ms >= 0, where + ".timeout_ms", "must not be negative");
  need(phase.budget_ms >= 0, where + ".budget_ms", "must not be negative");
  need(phase.budget_ms == 0 || phase.phase == Phase::train, where + ".budget_ms", "only train has a budget");
  need(phase.stop_signal >= 1 && phase.stop_signal <= 64, where + ".stop_signal", "must be a signal from 1 to 64");
  need(phase.grace_ms >= 0, where + ".grace_ms", "must not be negative");
  check_env(phase.env, where + ".env");
  for (const auto& path : phase.hidden) need(path.starts_with('/'), where + ".hidden", "must be absolute paths");
  for (const auto& [name, pattern] : phase.metrics) check_pattern(pattern, where + ".metrics." + name);
}

void check_limits(const Limits& l) {
  need(l.wall_ms >= 0, "limits.wall_ms", "must not be negative");
  need(l.memory_bytes >= 0, "limits.memory_bytes", "must not be negative");
  need(l.disk_bytes >= 0, "limits.disk_bytes", "must not be negative");
  need(l.inodes >= 0, "limits.inodes", "must not be negative");
  need(l.free_floor_bytes >= 0, "limits.free_floor_bytes", "must not be negative");
  need(l.log_bytes >= 0, "limits.log_bytes", "must not be negative");
  need(l.processes >= 0, "limits.processes", "must not be negative");
}

void check_order(const Order& order) {
  need(order.directory.starts_with('/'), "directory", "must be an absolute path");
  need(order.workspace.empty() || order.workspace.starts_with('/'), "workspace", "must be an absolute path or empty");
  need(order.enclosure.empty() || order.directory.starts_with(order.enclosure + "/"), "enclosure",
       "must be empty or a folder around directory");
  need(!order.nonce.empty() && order.nonce.size() <= 128, "nonce", "must have 1 to 128 bytes");
  need(!order.objective.empty(), "objective", "must name the metric that has to be reported");
  need(order.lease_ms >= 0, "lease_ms", "must not be negative");
  need(!order.phases.empty(), "phases", "must have at least one phase");
  for (std::size_t i = 0; i < order.phases.size(); ++i) {
    const std::string where = "phases[" + std::to_string(i) + "]";
    need(i == 0 || order.phases[i - 1].phase < order.phases[i].phase, where, "is out of order: build, train, evaluate");
    check_phase(order.phases[i], where);
  }
  for (const auto& mount : order.mounts) need(mount.starts_with('/'), "mounts", "must be absolute paths");
  for (const int cpu : order.cpus) need(cpu >= 0 && cpu < 65536, "cpus", "must be numbers of CPUs");
  for (const auto& replacement : order.seed_replacements) check_pattern(replacement.pattern, "seed_replacements");
  check_env(order.env, "env");
  check_limits(order.limits);
}

}  // namespace

std::string to_json(const Order& order) { return dumped(OrderFile{protocol_version, order}); }

budgets::Result<Order, ProtocolError> order_from_json(std::string_view text) {
  return parsed<Order>([&]() -> Order {
    const auto json = parse_strictly(text, order_bytes_max);
    if (json.is_object() && json.contains("version") && json["version"] != protocol_version) {
      throw Refused("version", "is not 1: orchestrator and keeper are not from the same build");
    }
    OrderFile file;
    Reader::read(json, file, "");
    check_order(file.order);
    return std::move(file.order);
  });
}

}  // namespace overnight::workers
