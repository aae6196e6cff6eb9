#include "kernels/cuda/library_product.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "kernels/device.h"

namespace overnight::kernels::cuda {
namespace {

constexpr int candidates_max = 8, timed_runs = 3;

void check(cublasStatus_t status, const char* what) {
  const std::string why = std::string("cuBLASLt, ") + what + ": " + cublasLtGetStatusString(status);
  if (status == CUBLAS_STATUS_ALLOC_FAILED) throw DeviceOutOfMemory(why);
  if (status != CUBLAS_STATUS_SUCCESS) throw DeviceError(why);
}
void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) throw DeviceError(std::string(what) + ": " + cudaGetErrorString(status));
}

cudaDataType_t type_of(NumberKind kind) { return kind == NumberKind::float32 ? CUDA_R_32F : CUDA_R_16BF; }

class Layout {
 public:
  Layout(NumberKind kind, std::uint64_t rows, std::uint64_t columns, std::uint64_t stride, std::uint64_t count,
         std::uint64_t apart) {
    check(cublasLtMatrixLayoutCreate(&layout_, type_of(kind), rows, columns, static_cast<std::int64_t>(stride)),
          "layout");
    const auto batch = static_cast<std::int32_t>(count);
    const auto offset = static_cast<std::int64_t>(apart);
    check(cublasLtMatrixLayoutSetAttribute(layout_, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch, sizeof batch), "batch");
    check(
        cublasLtMatrixLayoutSetAttribute(layout_, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &offset, sizeof offset),
        "batch");
  }
  ~Layout() { cublasLtMatrixLayoutDestroy(layout_); }
  Layout(const Layout&) = delete;
  Layout& operator=(const Layout&) = delete;
  cublasLtMatrixLayout_t get() const { return layout_; }

 private:
  cublasLtMatrixLayout_t layout_ = nullptr;
};

cublasLtMatmulAlgo_t algorithm_of(const ProductWay& way) {
  cublasLtMatmulAlgo_t algorithm;
  static_assert(sizeof algorithm.data / sizeof algorithm.data[0] == std::tuple_size_v<ProductWay>);
  std::copy(way.begin(), way.end(), algorithm.data);
  return algorithm;
}
ProductWay way_of(const cublasLtMatmulAlgo_t& algorithm) {
  ProductWay way;
  std::copy(std::begin(algorithm.data), std::end(algorithm.data), way.begin());
  return way;
}

}  // namespace

// The library thinks in columns: our rows are its columns, so it is given b as its first matrix and a as its second.
struct LibraryProducts::Plan {
  cublasLtMatmulDesc_t operation = nullptr;
  Layout first, second, result;
  cublasLtMatmulAlgo_t algorithm{};
  bool possible = false;

  explicit Plan(const ProductKey& k)
      : first(k.in, k.b_turned ? k.depth : k.columns, k.b_turned ? k.columns : k.depth, k.b_stride, k.count, k.b_apart),
        second(k.in, k.a_turned ? k.rows : k.depth, k.a_turned ? k.depth : k.rows, k.a_stride, k.count, k.a_apart),
        result(k.out, k.columns, k.rows, k.stride, k.count, k.out_apart) {
    check(cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F), "operation");
    const cublasOperation_t of_first = k.b_turned ? CUBLAS_OP_T : CUBLAS_OP_N,
                            of_second = k.a_turned ? CUBLAS_OP_T : CUBLAS_OP_N;
    check(cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSA, &of_first, sizeof of_first),
          "operation");
    check(cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSB, &of_second, sizeof of_second),
          "operation");
  }
  ~Plan() { cublasLtMatmulDescDestroy(operation); }

  cublasStatus_t run(const LibraryProducts& on, void* out, const void* a, const void* b, const void* plus, float alpha,
                     float beta, const cublasLtMatmulAlgo_t& how) const {
    return cublasLtMatmul(on.handle_, operation, &alpha, b, first.get(), a, second.get(), &beta,
                          plus != nullptr ? plus : out, result.get(), out, result.get(), &how, on.workspace_,
                          LibraryProducts::workspace_bytes, on.stream_);
  }

  // The library's candidates, the likeliest first; none: it has no way.
  std::vector<cublasLtMatmulAlgo_t> candidates(cublasLtHandle_t handle, const ProductKey& k, int wanted) const {
    cublasLtMatmulPreference_t preference = nullptr;
    check(cublasLtMatmulPreferenceCreate(&preference), "preference");
    const std::uint64_t room = LibraryProducts::workspace_bytes;
    // Parts of a sum in floats only, not rounded to the output's numbers; and not in place, where which part comes
    // first would depend on the run.
    const std::uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, alignment = k.alignment;
    const auto set = [&](cublasLtMatmulPreferenceAttributes_t what, const auto& value) {
      check(cublasLtMatmulPreferenceSetAttribute(preference, what, &value, sizeof value), "preference");
    };
    set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, room);
    set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, reductions);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment);
    cublasLtMatmulHeuristicResult_t found[candidates_max];
    int count = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
        handle, operation, first.get(), second.get(), result.get(), result.get(), preference, wanted, found, &count);
    cublasLtMatmulPreferenceDestroy(preference);
    std::vector<cublasLtMatmulAlgo_t> all;
    for (int i = 0; status == CUBLAS_STATUS_SUCCESS && i < count; ++i)
      if (found[i].state == CUBLAS_STATUS_SUCCESS) all.push_back(found[i].algo);
    return all;
  }

  bool bears(cublasLtHandle_t handle, const cublasLtMatmulAlgo_t& how) const {
    cublasLtMatmulHeuristicResult_t found;
    return cublasLtMatmulAlgoCheck(handle, operation, first.get(), second.get(), result.get(), result.get(), &how,
                                   &found) == CUBLAS_STATUS_SUCCESS &&
           found.workspaceSize <= LibraryProducts::workspace_bytes;
  }
};

LibraryProducts::LibraryProducts(const std::string& gpu, const std::filesystem::path& file, cudaStream_t stream,
                                 void* workspace)
    : stream_(stream), workspace_(workspace), kept_(gpu, version(), file) {
  check(cublasLtCreate(&handle_), "start");
}
LibraryProducts::~LibraryProducts() {
  plans_.clear();
  cublasLtDestroy(handle_);
}

std::string LibraryProducts::version() const { return std::to_string(cublasLtGetVersion()); }

LibraryProducts::Plan* LibraryProducts::plan_of(const ProductKey& key, void* out, const void* a, const void* b,
                                                const void* plus) {
  auto& plan = plans_[key];
  if (plan != nullptr) return plan.get();
  plan = std::make_unique<Plan>(key);
  if (const ProductWay* kept = kept_.find(key); (use_kept_ || tuning_) && kept != nullptr) {
    plan->algorithm = algorithm_of(*kept);
    plan->possible = plan->bears(handle_, plan->algorithm);
    if (plan->possible) return plan.get();
  }
  const auto ways = plan->candidates(handle_, key, tuning_ ? candidates_max : 1);
  plan->possible = !ways.empty();
  if (!ways.empty()) plan->algorithm = ways.front();
  if (!tuning_ || ways.size() < 2) return plan.get();
  cudaEvent_t began, ended;
  check(cudaEventCreate(&began), "tune");
  check(cudaEventCreate(&ended), "tune");
  float best = INFINITY;
  for (const auto& way : ways) {
    bool works = plan->run(*this, out, a, b, plus, 1, 0, way) == CUBLAS_STATUS_SUCCESS;  // once before it counts
    check(cudaEventRecord(began, stream_), "tune");
    for (int i = 0; works && i < timed_runs; ++i)
      works = plan->run(*this, out, a, b, plus, 1, 0, way) == CUBLAS_STATUS_SUCCESS;
    check(cudaEventRecord(ended, stream_), "tune");
    check(cudaEventSynchronize(ended), "tune");
    float took = 0;
    check(cudaEventElapsedTime(&took, began, ended), "tune");
    if (!works || took >= best) continue;
    best = took;
    plan->algorithm = way;
  }
  cudaEventDestroy(began);
  cudaEventDestroy(ended);
  plan->possible = best < INFINITY;
  if (plan->possible) kept_.keep(key, way_of(plan->algorithm));
  found_ = true;
  return plan.get();
}

bool LibraryProducts::multiply(void* out, const void* a, const void* b, const void* plus, float alpha, float beta,
                               const ProductKey& key) {
  Plan* plan = plan_of(key, out, a, b, plus);
  if (!plan->possible) return false;
  const cublasStatus_t status = plan->run(*this, out, a, b, plus, alpha, beta, plan->algorithm);
  // What was promised, or kept by another program, may turn out not to be possible: nothing was launched then.
  plan->possible = status != CUBLAS_STATUS_NOT_SUPPORTED && status != CUBLAS_STATUS_INVALID_VALUE;
  if (plan->possible) check(status, "product");
  return plan->possible;
}

void LibraryProducts::use_kept(bool on) {
  if (on != use_kept_) plans_.clear();
  use_kept_ = on;
}

void LibraryProducts::tune(bool on) {
  if (on != tuning_) plans_.clear();  // what was chosen without trying is chosen again, and the other way round
  tuning_ = on;
}

std::string LibraryProducts::keep_found() { return std::exchange(found_, false) ? kept_.write() : ""; }

}  // namespace overnight::kernels::cuda
