#include "workers/trainer/training.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>

#include "workers/model/block.h"
#include "workers/model/checkpoint.h"
#include "workers/trainer/device_layout.h"
#include "workers/trainer/engine.h"
#include "workers/trainer/optimizer.h"

namespace overnight::workers {
namespace {

constexpr std::int64_t lanes_default = 2;
constexpr std::int64_t batch_max = 65535;  // what one side of a GPU's grid takes
constexpr std::int64_t head_size_default = 64;
constexpr double rated_width = 768;  // for which rates are given

const std::map<std::string, MatrixInit> inits{
    {"uniform", MatrixInit::uniform}, {"normal", MatrixInit::normal}, {"orthogonal", MatrixInit::orthogonal}};

}  // namespace

MatrixInit matrix_init_of(const TrainingSettings& settings) { return inits.at(settings.init); }

void settle(TrainingSettings& s) {
  const auto sane = [](std::int64_t value) { return value > 0 && value <= 1 << 24; };  // else it is refused below
  if (sane(s.aspect) && sane(s.model.depth)) {
    const std::int64_t head = sane(s.head_size) ? s.head_size : head_size_default;
    s.head_size = head;
    s.model.width = (s.model.depth * s.aspect + head - 1) / head * head;
  }
  if (sane(s.head_size) && s.model.width % s.head_size == 0) s.model.heads = s.model.width / s.head_size;
  s.optimizer.width_factor =
      s.scale_rates == 1 && sane(s.model.width) ? 1 / std::sqrt(static_cast<double>(s.model.width) / rated_width) : 1;
  if (sane(s.batch_tokens) && sane(s.model.context))
    s.batch = std::max<std::int64_t>(1, s.batch_tokens / s.model.context);
}

std::string why_impossible(const TrainingSettings& s) {
  if (s.aspect < 0 || s.head_size < 0 || s.batch_tokens < 0 || s.aspect > 16384 || s.batch_tokens > 1 << 24)
    return "aspect, head_size and batch_tokens are numbers from 0 to 16384, the last to 16777216";
  if (s.head_size > 0 && s.model.width % s.head_size != 0)
    return "width " + std::to_string(s.model.width) + " is not a multiple of head_size " + std::to_string(s.head_size);
  if (std::string why = why_impossible(s.model); !why.empty()) return why;
  if (s.model.vocabulary < byte_vocabulary || s.model.vocabulary > vocabulary_max)
    return "vocabulary " + std::to_string(s.model.vocabulary) + " is not between " + std::to_string(byte_vocabulary) +
           " (bytes) and " + std::to_string(vocabulary_max);
  if (s.threads < 1 || s.threads > 256) return "threads " + std::to_string(s.threads) + " is not between 1 and 256";
  if (s.batch < 1 || s.batch > batch_max)
    return "batch " + std::to_string(s.batch) + " is not between 1 and " + std::to_string(batch_max);
  if (s.lanes < 0 || s.lanes > 256) return "lanes " + std::to_string(s.lanes) + " is not between 1 and 256, or 0";
  const std::int64_t lanes = lanes_of(s);
  if (s.batch % lanes != 0)
    return "batch " + std::to_string(s.batch) + " is not a multiple of lanes " + std::to_string(lanes);
  if (s.threads > lanes)
    return "threads " + std::to_string(s.threads) + " are more than lanes " + std::to_string(lanes) +
           " (one lane is one thread's work)";
  if (std::string why = why_impossible(s.optimizer); !why.empty()) return why;
  if (s.scale_rates < 0 || s.scale_rates > 1) return "scale_rates is 0 or 1";
  if (!inits.contains(s.init)) return "init \"" + s.init + "\" is not known; uniform, normal and orthogonal are";
  if (!(s.init_scale >= 0 && s.init_scale <= 100))
    return "init_scale " + std::to_string(s.init_scale) + " is not between 0 and 100";
  if (!(s.schedule.warmup >= 0 && s.schedule.warmup <= 1 && s.schedule.warmdown >= 0 && s.schedule.warmdown <= 1))
    return "warmup and warmdown are shares between 0 and 1";
  if (!(s.schedule.floor >= 0 && s.schedule.floor <= 1))
    return "floor " + std::to_string(s.schedule.floor) + " is not a share between 0 and 1";
  if (s.batch_tokens > 0 && s.batch_tokens % s.model.context != 0)
    return "batch_tokens " + std::to_string(s.batch_tokens) + " is not a multiple of the context, " +
           std::to_string(s.model.context);
  if (s.device != "auto" && s.device != "cpu" && s.device != "cuda")
    return "device \"" + s.device + "\" is not known; auto, cpu and cuda are";
  if (s.precision != "bfloat16" && s.precision != "float")
    return "precision \"" + s.precision + "\" is not known; bfloat16 and float are";
  if (s.deterministic < 0 || s.deterministic > 1) return "deterministic is 0 or 1";
  if (s.steps < 0 || s.seconds < 0) return "steps and seconds must not be negative";
  if (s.steps > 0 && s.seconds > 0) return "the budget is given twice: steps and seconds";
  if (s.steps <= 0 && !(s.seconds > 0))
    return "there is no budget: neither steps nor seconds (nor a train budget in the experiment)";
  return "";
}

std::int64_t lanes_of(const TrainingSettings& settings) {
  if (settings.lanes > 0) return settings.lanes;
  std::int64_t lanes = std::max<std::int64_t>(1, settings.steps > 0 ? lanes_default : settings.threads);
  while (settings.batch % lanes != 0) --lanes;
  return lanes;
}

TrainingPlan plan_of(const TrainingSettings& settings) {
  const auto lanes = static_cast<std::size_t>(lanes_of(settings)), threads = static_cast<std::size_t>(settings.threads),
             lane_batch = static_cast<std::size_t>(settings.batch) / lanes;
  const LanguageModel model = make_language_model(settings.model, lane_batch, ModelUse::training);
  TrainingPlan plan;
  for (const Tensor& tensor : model.graph.tensors()) plan.parameters += tensor.parameter ? tensor.count() : 0;
  plan.tokens_per_step = static_cast<std::size_t>(settings.batch * settings.model.context);
  if (settings.device == "cuda") {
    // Copies of what is carried, and two batches that are made ready.
    plan.bytes = optimizer_bytes(model.graph, settings.optimizer, 0) + Block::bytes_of(model.graph.parameter_floats()) +
                 6 * sizeof(std::int32_t) * plan.tokens_per_step;
    plan.device_bytes = device_bytes(settings);
  } else {
    plan.bytes = Block::bytes_of(model.graph.parameter_floats()) * (1 + lanes) +
                 Block::bytes_of(model.graph.arena_bytes() / sizeof(float)) * threads +
                 optimizer_bytes(model.graph, settings.optimizer, threads);
  }
  const double of_ops = 3 * model.graph.forward_flops() * static_cast<double>(lanes),
               of_optimizer = optimizer_flops(model.graph, settings.optimizer), all = of_ops + of_optimizer;
  plan.flops_per_token = all / static_cast<double>(plan.tokens_per_step);
  for (const auto& op : model.graph.ops())
    plan.flop_shares[op->kind()] += 3 * op->flops() * static_cast<double>(lanes) / all;
  plan.flop_shares["optimizer"] = of_optimizer / all;
  return plan;
}

Training::Training(const TrainingSettings& settings, const Documents& documents, const Stopped& stopped,
                   kernels::Device* device)
    : settings_(settings),
      engine_(device != nullptr ? make_device_engine(settings, documents, stopped, *device)
                                : make_cpu_engine(settings, documents, stopped)) {}
Training::~Training() = default;

std::optional<double> Training::step(double progress, const std::atomic<bool>* stop) {
  return engine_->step(progress, stop);
}

namespace {

// What must be the same for a state to be gone on from. Rates and schedules may change: that is what one goes on for.
std::string kind_of(const TrainingSettings& s, std::uint64_t data) {
  return config_to_json(s.model) + "batch " + std::to_string(s.batch) + ", lanes " + std::to_string(lanes_of(s)) +
         ", seed " + std::to_string(s.seed) + ", optimizer " + s.optimizer.optimizer + ", ema " +
         std::to_string(s.optimizer.ema) + ", data " + std::to_string(data);
}

}  // namespace

budgets::Result<void, std::string> Training::save_state(const std::filesystem::path& file, double seconds) {
  const Engine::Carried carried = engine_->carried();
  std::vector<StoredTensor> tensors;
  for (const auto& [name, values, count] : carried.numbers) tensors.push_back({name, 1, count, values});
  return write_tensors(file, tensors,
                       {{"step", std::to_string(carried.steps)},
                        {"seconds", std::to_string(seconds)},
                        {"random", carried.place},
                        {"training", kind_of(settings_, engine_->fingerprint())}});
}

budgets::Result<Training::Position, std::string> Training::load_state(const std::filesystem::path& file) {
  const Engine::Carried carried = engine_->carried();
  std::vector<StoredTensor> wanted;
  for (const auto& [name, _, count] : carried.numbers) wanted.push_back({name, 1, count});
  auto opened = TensorFile::open(file, wanted);
  if (!opened)
    return budgets::unexpected(opened.error() + " (is it the state of another model, vocabulary or optimizer?)");
  const auto told = [&](const char* name) {
    const auto found = opened->metadata().find(name);
    return found == opened->metadata().end() ? std::string() : found->second;
  };
  if (told("training") != kind_of(settings_, engine_->fingerprint()))
    return budgets::unexpected(
        file.string() +
        ": is the state of another training: model, batch, lanes, seed, optimizer, ema or texts differ");
  Position position;
  const auto lost = [&] { return budgets::unexpected(file.string() + ": does not say where it was written"); };
  if (!(std::istringstream(told("step")) >> position.steps) || position.steps < 0 ||
      !(std::istringstream(told("seconds")) >> position.seconds) || !(position.seconds >= 0))
    return lost();
  for (const auto& [name, values, _] : carried.numbers) {
    if (auto read = opened->read(name, values); !read) return budgets::unexpected(read.error());
  }
  if (!engine_->take_back(position.steps, told("random"))) return lost();
  return position;
}

bool Training::finite() const {
  const float* all = parameters();
  return std::all_of(all, all + graph().parameter_floats(), [](float x) { return std::isfinite(x); });
}

void Training::take_profile() { engine_->take_profile(); }
std::vector<ProfileLine> Training::profile() const { return engine_->profile(); }
const Graph& Training::graph() const { return engine_->graph(); }
const float* Training::parameters() const { return engine_->result(); }

std::vector<ProfileLine> sorted_lines(std::map<std::string, ProfileLine> kinds) {
  std::vector<ProfileLine> lines;
  for (auto& [kind, line] : kinds) {
    line.kind = kind;
    lines.push_back(line);
  }
  std::stable_sort(lines.begin(), lines.end(), [](const ProfileLine& a, const ProfileLine& b) {
    return a.forward_seconds + a.backward_seconds > b.forward_seconds + b.backward_seconds;
  });
  return lines;
}

}  // namespace overnight::workers
