// A model as a straight line of typed ops over named tensors, and its plan: every byte is known before anything runs.
//
// Ops are added in forward order; backward walks them in reverse. Activations and their gradients share one arena: each
// lives from the op that writes it to the last that needs it, and the plan packs what does not overlap in time.
// Parameters lie apart, in one block. A value; built once, shared by all lanes (trainer/training.h), which only differ
// in their memory; that may be a GPU's, with a backend for it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/device.h"
#include "kernels/kernels.h"
#include "workers/model/real.h"

namespace overnight::workers {
inline namespace OVERNIGHT_PRECISION {

struct TensorId {
  std::size_t index = 0;
  bool operator==(const TensorId&) const = default;
};

// How a parameter begins (language_model.h fills it).
enum class Initial {
  zero,
  one,
  normal,        // of variance 1
  small_normal,  // of standard deviation 0.001
  fan_in,        // uniform, of variance 1 / columns
  taps,          // uniform in +-1 / sqrt(rows): of a short convolution
  log_rates,     // logarithm of a number between 1 and 16: decay rates of Mamba-2
  steps,         // softplus^-1 of a number between 0.001 and 0.1, evenly spread on a logarithmic scale: step sizes
  per_rank,      // 1 / rows
  tied,          // of standard deviation 0.02: an embedding that is the head, too
  first_share,   // 1, then 0.1: of the stream, and of its beginning, in a blend
};

// Which of the optimizer's settings a parameter has.
// `residual`: the share of the stream itself where it is blended with its beginning, the first of two (first_share).
enum class ParameterGroup { embedding, head, matrix, scalar, residual };

struct Tensor {
  std::string name;
  std::size_t rows = 0, columns = 0;
  bool parameter = false;
  Initial initial = Initial::zero;
  ParameterGroup group = ParameterGroup::matrix;
  bool has_gradient = true;
  bool full = false;            // of Full numbers, as parameters and their gradients are; activations else of Real ones
  bool to_the_end = false;      // what a pass leaves
  std::size_t value_at = 0;     // in numbers in the parameters, or in bytes in the arena
  std::size_t gradient_at = 0;  // likewise: in the parameters' gradients, or in the arena

  std::size_t count() const { return rows * columns; }
};

// CPU time of the calling thread: what others do on the machine does not count.
double thread_seconds();

// Time per op, summed over steps; indexed like Graph::ops().
struct Profile {
  std::vector<double> forward_seconds, backward_seconds;
  std::function<double()> now = thread_seconds;
};

// The memory of one lane while it works.
struct Memory {
  const kernels::BackendOf<Real, Full>* backend = nullptr;
  const Full* parameters = nullptr;
  const Real* weights = nullptr;        // the parameters again, where Real is another kind of number
  Full* parameter_gradients = nullptr;  // null in inference
  const Full* constants = nullptr;      // Graph::constants in the backend's memory; null: those themselves
  void* arena = nullptr;
  const std::int32_t* inputs = nullptr;
  const std::int32_t* targets = nullptr;
  const std::int32_t* order = nullptr;      // rows by their inputs (BackendOf::embedding_backward); null on a CPU
  Full loss_scale = 0;                      // 0: no gradients
  bool accumulates = false;                 // to what is in the parameters' gradients, instead of beginning them
  const std::atomic<bool>* stop = nullptr;  // once true, a pass ends after the op that runs; what it made is of no use
  Profile* profile = nullptr;               // null: time is not taken
};

class Graph;

// Bytes that so many take in an arena: its buffers begin on boundaries that all machines like.
constexpr std::size_t room(std::size_t bytes) { return (bytes + 255) / 256 * 256; }

// One op: what it reads and writes, its arithmetic, and what it costs.
class Op {
 public:
  virtual ~Op() = default;
  virtual const char* kind() const = 0;
  virtual std::vector<TensorId> reads() const = 0;
  virtual std::vector<TensorId> writes() const = 0;
  virtual std::vector<TensorId> needed_by_backward() const = 0;  // values that backward reads
  virtual double flops() const = 0;                              // forward; backward counts twice
  // Why a device's matrix unit does not take it in bfloat16, where it would take it in another shape; else empty.
  virtual std::string off_matrix_unit(const kernels::DeviceOps&) const { return ""; }
  // What of reads() has the gradient of writes()[0] as a part of its own, which begins in the place of that one unless
  // something is there already: the end of a residual branch. Backward must bear that both are the same memory.
  virtual std::optional<TensorId> hands_on_gradient() const { return std::nullopt; }
  virtual std::size_t scratch_bytes() const { return 0; }  // of Graph::scratch, while one of its passes runs
  virtual void forward(const Graph& graph, Memory& memory) const = 0;
  // `adds[i]`: the gradient of reads()[i] was written by a later op already, so this one adds to it.
  virtual void backward(const Graph& graph, Memory& memory, const std::vector<bool>& adds) const = 0;
};

// How ops walk over their rows: in blocks that stay in a CPU's cache, one sequence at a time where they go along
// sequences; or in ones large enough to fill a GPU and small enough for its cache, all sequences at once.
enum class Walk { cache, device };

class Graph {
 public:
  explicit Graph(Walk walk = Walk::cache) : walk_(walk) {}
  Walk walk() const { return walk_; }

  TensorId parameter(std::string name, std::size_t rows, std::size_t columns, Initial initial,
                     ParameterGroup group = ParameterGroup::matrix);
  TensorId activation(std::string name, std::size_t rows, std::size_t columns, bool has_gradient = true);
  TensorId statistics(std::string name, std::size_t rows, std::size_t columns);  // Full numbers, without a gradient
  void keep_to_the_end(TensorId id) { tensors_[id.index].to_the_end = true; }
  // Numbers that ops need and that never change; returns where they begin in `constants`.
  std::size_t add_constants(const std::vector<Full>& values);
  void add(std::unique_ptr<Op> op) { ops_.push_back(std::move(op)); }

  // Lays everything out; no op or tensor may be added afterwards. Training keeps what backward needs, inference does
  // not.
  enum class Purpose { training, inference };
  void plan(Purpose purpose);

  const std::vector<Tensor>& tensors() const { return tensors_; }
  const Tensor& tensor(TensorId id) const { return tensors_[id.index]; }
  std::size_t parameter_floats() const { return parameter_floats_; }
  std::size_t arena_bytes() const { return arena_bytes_; }
  const std::vector<Full>& constants() const { return constants_; }
  double forward_flops() const;
  // The least that an op must move: what it reads and writes, once.
  std::size_t forward_bytes(std::size_t op) const;
  std::size_t backward_bytes(std::size_t op) const;
  const std::vector<std::unique_ptr<Op>>& ops() const { return ops_; }

  Real* value(Memory& memory, TensorId id) const { return in_arena<Real>(memory, tensor(id).value_at); }
  Real* gradient(Memory& memory, TensorId id) const { return in_arena<Real>(memory, tensor(id).gradient_at); }
  const Real* read(const Memory& memory, TensorId id) const;
  // Of statistics and parameters.
  Full* full_value(Memory& memory, TensorId id) const { return in_arena<Full>(memory, tensor(id).value_at); }
  const Full* read_full(const Memory& memory, TensorId id) const;
  Full* parameter_gradient(Memory& memory, TensorId id) const {
    return memory.parameter_gradients + tensor(id).gradient_at;
  }
  const Full* constant(const Memory& memory, std::size_t at) const {
    return (memory.constants != nullptr ? memory.constants : constants_.data()) + at;
  }
  void* scratch(Memory& memory) const {
    return in_arena<std::byte>(memory, scratch_at_);
  }  // shared by all ops: always in the cache

  void forward(Memory& memory) const;
  void backward(Memory& memory) const;

 private:
  template <typename Number>
  static Number* in_arena(const Memory& memory, std::size_t at) {
    return reinterpret_cast<Number*>(static_cast<std::byte*>(memory.arena) + at);
  }

  std::optional<TensorId> handed_on(std::size_t op) const;

  Walk walk_;
  std::vector<Tensor> tensors_;
  std::vector<std::unique_ptr<Op>> ops_;
  std::vector<std::vector<bool>> adds_;          // per op, per read tensor
  std::vector<std::vector<bool>> accumulating_;  // the same, with all parameters' gradients begun before
  std::vector<Full> constants_;
  std::size_t parameter_floats_ = 0;
  std::size_t arena_bytes_ = 0;
  std::size_t scratch_at_ = 0;
};

}  // namespace OVERNIGHT_PRECISION
}  // namespace overnight::workers
