#include "workers/model/graph.h"

#include <time.h>

#include <algorithm>
#include <numeric>

namespace overnight::workers {
inline namespace OVERNIGHT_PRECISION {
namespace {

constexpr std::size_t alignment = 128;  // of parameters in numbers: what GPUs' products want of 16 bits each

std::size_t aligned(std::size_t numbers) { return (numbers + alignment - 1) / alignment * alignment; }

// A buffer that must exist from one moment to another; moments count ops, forward 0..n-1, backward n..2n-1.
struct Interval {
  std::size_t* at;
  std::size_t size;
  std::size_t from, to;
};

bool overlap(const Interval& a, const Interval& b) { return a.from <= b.to && b.from <= a.to; }

// Greedy by size: each buffer goes to the lowest place where it meets no other that lives at the same time.
std::size_t pack(std::vector<Interval> intervals) {
  std::stable_sort(intervals.begin(), intervals.end(),
                   [](const Interval& a, const Interval& b) { return a.size > b.size; });
  std::vector<const Interval*> placed;
  std::size_t total = 0;
  for (const Interval& one : intervals) {
    std::vector<const Interval*> rivals;
    for (const Interval* other : placed) {
      if (overlap(one, *other)) rivals.push_back(other);
    }
    std::sort(rivals.begin(), rivals.end(), [](const Interval* a, const Interval* b) { return *a->at < *b->at; });
    std::size_t at = 0;
    for (const Interval* rival : rivals) {
      if (at + one.size <= *rival->at) break;
      at = std::max(at, *rival->at + rival->size);
    }
    *one.at = at;
    total = std::max(total, at + one.size);
    placed.push_back(&one);
  }
  return total;
}

}  // namespace

namespace {

std::size_t bytes_of(const Tensor& tensor) {
  return room(tensor.count() * (tensor.full ? sizeof(Full) : sizeof(Real)));
}

template <typename Number>
const Number* parameters_as(const Memory& memory) {
  if constexpr (std::is_same_v<Number, Full>) {
    return memory.parameters;
  } else {
    return memory.weights;
  }
}

bool stopped(const Memory& memory) { return memory.stop != nullptr && memory.stop->load(std::memory_order_relaxed); }

}  // namespace

double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

TensorId Graph::parameter(std::string name, std::size_t rows, std::size_t columns, Initial initial,
                          ParameterGroup group) {
  tensors_.push_back({.name = std::move(name),
                      .rows = rows,
                      .columns = columns,
                      .parameter = true,
                      .initial = initial,
                      .group = group,
                      .value_at = parameter_floats_,
                      .gradient_at = parameter_floats_});
  parameter_floats_ += aligned(rows * columns);
  return {tensors_.size() - 1};
}

TensorId Graph::activation(std::string name, std::size_t rows, std::size_t columns, bool has_gradient) {
  tensors_.push_back({.name = std::move(name), .rows = rows, .columns = columns, .has_gradient = has_gradient});
  return {tensors_.size() - 1};
}

TensorId Graph::statistics(std::string name, std::size_t rows, std::size_t columns) {
  const TensorId id = activation(std::move(name), rows, columns, false);
  tensors_[id.index].full = true;
  return id;
}

std::size_t Graph::add_constants(const std::vector<Full>& values) {
  const std::size_t at = constants_.size();
  constants_.insert(constants_.end(), values.begin(), values.end());
  constants_.resize(aligned(constants_.size()));
  return at;
}

void Graph::plan(Purpose purpose) {
  const std::size_t n = ops_.size(), never = 2 * n;
  std::vector<std::size_t> born(tensors_.size(), never), last(tensors_.size(), 0),
      gradient_born(tensors_.size(), never), gradient_last(tensors_.size(), 0);
  std::vector<bool> written(tensors_.size(), false);
  for (std::size_t i = 0; i < n; ++i) {
    for (const TensorId id : ops_[i]->writes())
      born[id.index] = std::min(born[id.index], i), last[id.index] = std::max(last[id.index], i);
    for (const TensorId id : ops_[i]->reads()) last[id.index] = std::max(last[id.index], i);
    if (purpose == Purpose::inference) continue;
    for (const TensorId id : ops_[i]->needed_by_backward()) last[id.index] = std::max(last[id.index], 2 * n - 1 - i);
  }
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    if (tensors_[t].to_the_end) last[t] = never;
  }
  adds_.assign(n, {});
  accumulating_.assign(n, {});
  for (std::size_t i = n; i-- > 0;) {
    const std::size_t moment = 2 * n - 1 - i;
    for (const TensorId id : ops_[i]->writes())
      gradient_last[id.index] = std::max(gradient_last[id.index], moment),
      gradient_born[id.index] = std::min(gradient_born[id.index], moment);
    for (const TensorId id : ops_[i]->reads()) {
      adds_[i].push_back(written[id.index]);
      accumulating_[i].push_back(written[id.index] || tensors_[id.index].parameter);
      written[id.index] = true;
      gradient_born[id.index] = std::min(gradient_born[id.index], moment);
      gradient_last[id.index] = std::max(gradient_last[id.index], moment);
    }
  }
  // A gradient that is handed on lives where the one behind it lives, and both as long as either.
  std::vector<std::size_t> place(tensors_.size());
  std::iota(place.begin(), place.end(), std::size_t{0});
  for (std::size_t i = n; i-- > 0;) {
    const std::optional<TensorId> next = handed_on(i);
    if (!next) continue;
    const std::size_t to = place[next->index] = place[ops_[i]->writes().front().index];
    gradient_born[to] = std::min(gradient_born[to], gradient_born[next->index]);
    gradient_last[to] = std::max(gradient_last[to], gradient_last[next->index]);
  }
  std::vector<Interval> intervals;
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    Tensor& tensor = tensors_[t];
    if (tensor.parameter) continue;
    intervals.push_back({&tensor.value_at, bytes_of(tensor), born[t], last[t]});
    if (purpose == Purpose::training && tensor.has_gradient && place[t] == t)
      intervals.push_back({&tensor.gradient_at, bytes_of(tensor), gradient_born[t], gradient_last[t]});
  }
  scratch_at_ = pack(std::move(intervals));
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    if (place[t] != t) tensors_[t].gradient_at = tensors_[place[t]].gradient_at;
  }
  std::size_t scratch = 0;
  for (const auto& op : ops_) scratch = std::max(scratch, op->scratch_bytes());
  arena_bytes_ = scratch_at_ + room(scratch);
}

// Of op i: whose gradient begins where that of what the op writes is.
std::optional<TensorId> Graph::handed_on(std::size_t i) const {
  const std::optional<TensorId> next = ops_[i]->hands_on_gradient();
  if (!next) return std::nullopt;
  const auto reads = ops_[i]->reads();
  const auto at = std::find_if(reads.begin(), reads.end(), [&](TensorId id) { return id.index == next->index; });
  return adds_[i][static_cast<std::size_t>(at - reads.begin())] ? std::nullopt : next;
}

double Graph::forward_flops() const {
  double sum = 0;
  for (const auto& op : ops_) sum += op->flops();
  return sum;
}

std::size_t Graph::forward_bytes(std::size_t op) const {
  std::size_t bytes = 0;
  for (const auto& ids : {ops_[op]->reads(), ops_[op]->writes()}) {
    for (const TensorId id : ids) bytes += tensor(id).count() * (tensor(id).full ? sizeof(Full) : sizeof(Real));
  }
  return bytes;
}

std::size_t Graph::backward_bytes(std::size_t op) const {
  std::size_t bytes = 0;
  for (const TensorId id : ops_[op]->needed_by_backward())
    bytes += tensor(id).count() * (tensor(id).full ? sizeof(Full) : sizeof(Real));
  for (const auto& ids : {ops_[op]->reads(), ops_[op]->writes()}) {
    for (const TensorId id : ids) {
      if (tensor(id).parameter)
        bytes += tensor(id).count() * (sizeof(Real) + sizeof(Full));  // itself, and its gradient
      if (!tensor(id).parameter && tensor(id).has_gradient) bytes += tensor(id).count() * sizeof(Real);
    }
  }
  return bytes;
}

const Real* Graph::read(const Memory& memory, TensorId id) const {
  const Tensor& read = tensor(id);
  if (!read.parameter) return in_arena<Real>(memory, read.value_at);
  return parameters_as<Real>(memory) + read.value_at;
}

const Full* Graph::read_full(const Memory& memory, TensorId id) const {
  const Tensor& read = tensor(id);
  return read.parameter ? memory.parameters + read.value_at : in_arena<Full>(memory, read.value_at);
}

void Graph::forward(Memory& memory) const {
  for (std::size_t i = 0; i < ops_.size() && !stopped(memory); ++i) {
    const double began = memory.profile != nullptr ? memory.profile->now() : 0;
    ops_[i]->forward(*this, memory);
    if (memory.profile != nullptr) memory.profile->forward_seconds[i] += memory.profile->now() - began;
  }
}

void Graph::backward(Memory& memory) const {
  for (std::size_t i = ops_.size(); i-- > 0 && !stopped(memory);) {
    const double began = memory.profile != nullptr ? memory.profile->now() : 0;
    ops_[i]->backward(*this, memory, memory.accumulates ? accumulating_[i] : adds_[i]);
    if (memory.profile != nullptr) memory.profile->backward_seconds[i] += memory.profile->now() - began;
  }
}

}  // namespace OVERNIGHT_PRECISION
}  // namespace overnight::workers
