#include "workers/trainer/training.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <sstream>

#include "workers/model/block.h"
#include "workers/model/checkpoint.h"
#include "workers/model/crew.h"

namespace overnight::workers {
namespace {

constexpr std::size_t piece_floats = 16384;
constexpr std::int64_t lanes_default = 2;
constexpr std::int64_t head_size_default = 64;
constexpr double rated_width = 768;  // for which rates are given

std::optional<MatrixInit> matrix_init_named(const std::string& name) {
  if (name == "uniform") return MatrixInit::uniform;
  if (name == "normal") return MatrixInit::normal;
  if (name == "orthogonal") return MatrixInit::orthogonal;
  return std::nullopt;
}

}  // namespace

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
  if (s.batch < 1 || s.batch > 65536) return "batch " + std::to_string(s.batch) + " is not between 1 and 65536";
  if (s.lanes < 0 || s.lanes > 256) return "lanes " + std::to_string(s.lanes) + " is not between 1 and 256, or 0";
  const std::int64_t lanes = lanes_of(s);
  if (s.batch % lanes != 0)
    return "batch " + std::to_string(s.batch) + " is not a multiple of lanes " + std::to_string(lanes);
  if (s.threads > lanes)
    return "threads " + std::to_string(s.threads) + " are more than lanes " + std::to_string(lanes) +
           " (one lane is one thread's work)";
  if (std::string why = why_impossible(s.optimizer); !why.empty()) return why;
  if (s.scale_rates < 0 || s.scale_rates > 1) return "scale_rates is 0 or 1";
  if (!matrix_init_named(s.init)) return "init \"" + s.init + "\" is not known; uniform, normal and orthogonal are";
  if (!(s.init_scale >= 0 && s.init_scale <= 100))
    return "init_scale " + std::to_string(s.init_scale) + " is not between 0 and 100";
  if (!(s.schedule.warmup >= 0 && s.schedule.warmup <= 1 && s.schedule.warmdown >= 0 && s.schedule.warmdown <= 1))
    return "warmup and warmdown are shares between 0 and 1";
  if (!(s.schedule.floor >= 0 && s.schedule.floor <= 1))
    return "floor " + std::to_string(s.schedule.floor) + " is not a share between 0 and 1";
  if (s.batch_tokens > 0 && s.batch_tokens % s.model.context != 0)
    return "batch_tokens " + std::to_string(s.batch_tokens) + " is not a multiple of the context, " +
           std::to_string(s.model.context);
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
  const LanguageModel model = make_language_model(settings.model, lane_batch, Graph::Purpose::training);
  TrainingPlan plan;
  for (const Tensor& tensor : model.graph.tensors()) plan.parameters += tensor.parameter ? tensor.count() : 0;
  plan.bytes = Block::bytes_of(model.graph.parameter_floats()) * (1 + lanes) +
               Block::bytes_of(model.graph.arena_floats()) * threads +
               optimizer_bytes(model.graph, settings.optimizer, threads);
  plan.tokens_per_step = static_cast<std::size_t>(settings.batch * settings.model.context);
  const double of_ops = 3 * model.graph.forward_flops() * static_cast<double>(lanes),
               of_optimizer = optimizer_flops(model.graph, settings.optimizer), all = of_ops + of_optimizer;
  plan.flops_per_token = all / static_cast<double>(plan.tokens_per_step);
  for (const auto& op : model.graph.ops())
    plan.flop_shares[op->kind()] += 3 * op->flops() * static_cast<double>(lanes) / all;
  plan.flop_shares["optimizer"] = of_optimizer / all;
  return plan;
}

namespace {

// A piece of one parameter tensor: the unit of work of summing gradients. The pieces depend on the model alone, so that
// sums over them are the same for any number of threads.
struct Piece {
  std::size_t at, count;  // in the parameters
};

std::vector<Piece> pieces_of(const Graph& graph) {
  std::vector<Piece> pieces;
  for (const Tensor& tensor : graph.tensors()) {
    if (!tensor.parameter) continue;
    for (std::size_t from = 0; from < tensor.count(); from += piece_floats)
      pieces.push_back({tensor.value_at + from, std::min(piece_floats, tensor.count() - from)});
  }
  return pieces;
}

}  // namespace

struct Training::Impl {
  TrainingSettings settings;
  std::size_t lane_count;
  LanguageModel model;
  std::vector<std::int32_t> stream;  // all documents, one after the other
  Block parameters;
  Optimizer optimizer;
  std::vector<Piece> pieces;
  std::vector<double> squares;  // of each piece's gradient
  struct Lane {
    Block gradients;
    std::vector<std::int32_t> inputs, targets;
    double loss = 0;
    Lane(std::size_t parameter_floats, std::size_t tokens)
        : gradients(parameter_floats), inputs(tokens), targets(tokens) {}
  };
  std::vector<std::unique_ptr<Lane>> lanes;
  std::vector<std::unique_ptr<Block>> arenas;  // one per thread
  std::vector<Profile> profiles;               // one per thread, empty if none is taken
  double data_seconds = 0, optimizer_seconds = 0;
  std::mt19937_64 random;
  std::int64_t steps = 0, profiled_from = 0;
  const kernels::Backend& backend = kernels::cpu_backend();
  Crew crew;

  Impl(const TrainingSettings& s, const Documents& documents, const Stopped& stopped)
      : settings(s),
        lane_count(static_cast<std::size_t>(lanes_of(s))),
        model(make_language_model(s.model, static_cast<std::size_t>(s.batch) / lane_count, Graph::Purpose::training)),
        parameters(model.graph.parameter_floats()),
        optimizer(model.graph, s.optimizer, static_cast<std::size_t>(s.threads)),
        pieces(pieces_of(model.graph)),
        squares(pieces.size()),
        random(static_cast<std::uint64_t>(s.seed)),
        crew(static_cast<std::size_t>(s.threads)) {
    initialize(model.graph, parameters.get(), static_cast<std::uint64_t>(s.seed), *matrix_init_named(s.init),
               s.init_scale, stopped);
    stream.reserve(documents.bytes() + documents.tokens.size());
    for (const auto& tokens : documents.tokens) stream.insert(stream.end(), tokens.begin(), tokens.end());
    while (stream.size() < static_cast<std::size_t>(s.model.context) + 2) stream.push_back(document_start);
    const std::size_t tokens = static_cast<std::size_t>(s.batch * s.model.context) / lane_count;
    for (std::size_t i = 0; i < lane_count; ++i)
      lanes.push_back(std::make_unique<Lane>(model.graph.parameter_floats(), tokens));
    for (std::size_t i = 0; i < crew.size(); ++i) arenas.push_back(std::make_unique<Block>(model.graph.arena_floats()));
  }

  // The lanes of one thread.
  void run_lanes(std::size_t thread, const std::atomic<bool>* stop) {
    for (std::size_t i = thread; i < lanes.size(); i += crew.size()) {
      Lane& lane = *lanes[i];
      Memory memory;
      memory.backend = &backend;
      memory.parameters = parameters.get();
      memory.parameter_gradients = lane.gradients.get();
      memory.arena = arenas[thread]->get();
      memory.inputs = lane.inputs.data();
      memory.targets = lane.targets.data();
      memory.loss_scale = 1.0f / static_cast<float>(settings.batch * settings.model.context);
      memory.stop = stop;
      if (!profiles.empty()) memory.profile = &profiles[thread];
      model.graph.forward(memory);
      model.graph.backward(memory);
      lane.loss = memory.loss;
    }
  }

  void fill(Lane& lane) {
    const auto context = static_cast<std::size_t>(settings.model.context);
    for (std::size_t row = 0; row < lane.inputs.size(); row += context) {
      const std::size_t at = random() % (stream.size() - context - 1);
      std::memcpy(lane.inputs.data() + row, stream.data() + at, context * sizeof(std::int32_t));
      std::memcpy(lane.targets.data() + row, stream.data() + at + 1, context * sizeof(std::int32_t));
      // The start of a document is given, never guessed.
      for (std::size_t i = row; i < row + context; ++i) {
        if (lane.targets[i] == document_start) lane.targets[i] = -1;
      }
    }
  }

  // Sums the lanes' gradients into the first lane's, always in the order of the lanes.
  void reduce(std::size_t thread) {
    float* sum = lanes[0]->gradients.get();
    for (std::size_t i = thread; i < pieces.size(); i += crew.size()) {
      for (std::size_t lane = 1; lane < lanes.size(); ++lane)
        backend.add(sum + pieces[i].at, lanes[lane]->gradients.get() + pieces[i].at, pieces[i].count);
      squares[i] = backend.sum_of_squares(sum + pieces[i].at, pieces[i].count);
    }
  }

  void update(std::size_t thread, std::atomic<std::size_t>& next) {
    for (std::size_t unit = next++; unit < optimizer.units(); unit = next++)
      optimizer.work(unit, thread, parameters.get(), lanes[0]->gradients.get());
  }

  std::optional<double> step(double progress, const std::atomic<bool>* stop) {
    const double began = thread_seconds();
    const std::mt19937_64 before = random;  // a step that is stopped draws its batch again
    for (auto& lane : lanes) fill(*lane);
    data_seconds += thread_seconds() - began;
    crew.run([&](std::size_t thread) { run_lanes(thread, stop); });
    if (stop != nullptr && stop->load()) {
      random = before;
      return std::nullopt;
    }
    const double ran = thread_seconds();
    crew.run([this](std::size_t thread) { reduce(thread); });
    double square = 0, loss = 0;
    for (const double one : squares) square += one;
    for (const auto& lane : lanes) loss += lane->loss;
    ++steps;
    optimizer.begin({settings.schedule.at(progress), progress, std::sqrt(square)});
    std::atomic<std::size_t> next = 0;
    crew.run([&](std::size_t thread) { update(thread, next); });
    optimizer_seconds += (thread_seconds() - ran) * static_cast<double>(crew.size());
    return loss / static_cast<double>(settings.batch * settings.model.context);
  }
};

Training::Training(const TrainingSettings& settings, const Documents& documents, const Stopped& stopped)
    : impl_(std::make_unique<Impl>(settings, documents, stopped)) {}
Training::~Training() = default;

std::optional<double> Training::step(double progress, const std::atomic<bool>* stop) {
  return impl_->step(progress, stop);
}

namespace {

// FNV-1a over everything that is trained on, tokens as they are: other texts or other tokens give another number.
std::uint64_t fingerprint(const std::vector<std::int32_t>& stream) {
  std::uint64_t hash = 14695981039346656037ull;
  for (const std::int32_t token : stream) hash = (hash ^ static_cast<std::uint32_t>(token)) * 1099511628211ull;
  return hash;
}

// What must be the same for a state to be gone on from. Rates and schedules may change: that is what one goes on for.
std::string kind_of(const TrainingSettings& s, std::uint64_t data) {
  return config_to_json(s.model) + "batch " + std::to_string(s.batch) + ", lanes " + std::to_string(lanes_of(s)) +
         ", seed " + std::to_string(s.seed) + ", optimizer " + s.optimizer.optimizer + ", ema " +
         std::to_string(s.optimizer.ema) + ", data " + std::to_string(data);
}

}  // namespace

budgets::Result<void, std::string> Training::save_state(const std::filesystem::path& file, double seconds) {
  const std::size_t count = impl_->model.graph.parameter_floats();
  std::ostringstream random;
  random << impl_->random;
  const Optimizer::Carried carried = impl_->optimizer.carried();
  std::vector<StoredTensor> tensors{{"parameters", 1, count, impl_->parameters.get()}};
  for (const auto& [name, values, size] : carried.moments) tensors.push_back({name, 1, size, values});
  return write_tensors(file, tensors,
                       {{"step", std::to_string(impl_->steps)},
                        {"seconds", std::to_string(seconds)},
                        {"random", random.str()},
                        {"training", kind_of(impl_->settings, fingerprint(impl_->stream))}});
}

budgets::Result<Training::Position, std::string> Training::load_state(const std::filesystem::path& file) {
  const std::size_t count = impl_->model.graph.parameter_floats();
  const Optimizer::Carried carried = impl_->optimizer.carried();
  std::vector<StoredTensor> wanted{{"parameters", 1, count}};
  for (const auto& [name, _, size] : carried.moments) wanted.push_back({name, 1, size});
  auto opened = TensorFile::open(file, wanted);
  if (!opened)
    return budgets::unexpected(opened.error() + " (is it the state of another model, vocabulary or optimizer?)");
  const auto told = [&](const char* name) {
    const auto found = opened->metadata().find(name);
    return found == opened->metadata().end() ? std::string() : found->second;
  };
  if (told("training") != kind_of(impl_->settings, fingerprint(impl_->stream)))
    return budgets::unexpected(
        file.string() +
        ": is the state of another training: model, batch, lanes, seed, optimizer, ema or texts differ");
  std::istringstream random(told("random"));
  std::mt19937_64 generator;
  Position position;
  if (!(random >> generator) || !(std::istringstream(told("step")) >> position.steps) || position.steps < 0 ||
      !(std::istringstream(told("seconds")) >> position.seconds) || !(position.seconds >= 0))
    return budgets::unexpected(file.string() + ": does not say where it was written");
  if (auto read = opened->read("parameters", impl_->parameters.get()); !read) return budgets::unexpected(read.error());
  for (const auto& [name, values, _] : carried.moments) {
    if (auto read = opened->read(name, values); !read) return budgets::unexpected(read.error());
  }
  impl_->random = generator;
  impl_->steps = impl_->profiled_from = position.steps;
  impl_->optimizer.go_on_from(position.steps);
  return position;
}

bool Training::finite() const {
  const float* all = parameters();
  return std::all_of(all, all + impl_->model.graph.parameter_floats(), [](float x) { return std::isfinite(x); });
}

void Training::take_profile() {
  const std::size_t ops = impl_->model.graph.ops().size();
  impl_->profiles.assign(impl_->crew.size(), {std::vector<double>(ops), std::vector<double>(ops)});
  impl_->data_seconds = impl_->optimizer_seconds = 0;
  impl_->profiled_from = impl_->steps;
}

std::vector<ProfileLine> Training::profile() const {
  std::map<std::string, ProfileLine> kinds;
  const auto& ops = impl_->model.graph.ops();
  for (const Profile& profile : impl_->profiles) {
    for (std::size_t i = 0; i < ops.size(); ++i) {
      ProfileLine& line = kinds[ops[i]->kind()];
      line.forward_seconds += profile.forward_seconds[i];
      line.backward_seconds += profile.backward_seconds[i];
    }
  }
  const auto steps = static_cast<double>(impl_->steps - impl_->profiled_from),
             passes = steps * static_cast<double>(impl_->lanes.size());
  for (const auto& op : ops) kinds[op->kind()].flops += 3 * op->flops() * passes;
  kinds["optimizer"].forward_seconds = impl_->optimizer_seconds;
  kinds["optimizer"].flops = optimizer_flops(impl_->model.graph, impl_->settings.optimizer) * steps;
  kinds["data"].forward_seconds = impl_->data_seconds;
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

const Graph& Training::graph() const { return impl_->model.graph; }
const float* Training::parameters() const { return impl_->optimizer.result(impl_->parameters.get()); }

}  // namespace overnight::workers
