// Products of matrices as cuBLASLt's documentation has them: by columns, in batches, with everything that it says it
// refuses refused. Plain sums on this machine; a clock that goes by FakeCublasLt::ways.
#include "tests/fakes/fake_cublaslt.h"

#include <cublasLt.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

#include "kernels/bfloat16.h"

namespace overnight::kernels {
namespace {

struct Layout {
  cudaDataType type;
  std::uint64_t rows, columns;
  std::int64_t apart;
  std::int32_t count = 1;
  std::int64_t matrix_apart = 0;
};
struct Operation {
  cublasOperation_t turned[2] = {CUBLAS_OP_N, CUBLAS_OP_N};
};
struct Preference {
  std::uint64_t workspace = 0;
  std::uint32_t alignment[4] = {256, 256, 256, 256};  // of A, B, C, D
  std::uint32_t reductions = ~0u;
};

double clock_ms = 0;

template <typename Own, typename Handle>
Own& own(Handle handle) {
  return *reinterpret_cast<Own*>(handle);
}
template <typename Value>
cublasStatus_t take(Value& to, const void* from, std::size_t size) {
  if (from == nullptr || size != sizeof to) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&to, from, size);
  return CUBLAS_STATUS_SUCCESS;
}

float number(const void* matrix, const Layout& layout, std::int64_t at) {
  if (layout.type == CUDA_R_32F) return static_cast<const float*>(matrix)[at];
  return static_cast<const bfloat16*>(matrix)[at];
}
float element(const void* matrix, const Layout& layout, bool turned, std::int64_t which, std::uint64_t row,
              std::uint64_t column) {
  const std::uint64_t r = turned ? column : row, c = turned ? row : column;
  return number(
      matrix, layout,
      which * layout.matrix_apart + static_cast<std::int64_t>(r) + static_cast<std::int64_t>(c) * layout.apart);
}

struct Shape {
  std::uint64_t rows, columns, depth;
};
// What the documentation asks of the layouts of one product.
bool agree(const Operation& op, const Layout& a, const Layout& b, const Layout& c, const Layout& d, Shape& shape) {
  const bool a_turned = op.turned[0] == CUBLAS_OP_T, b_turned = op.turned[1] == CUBLAS_OP_T;
  shape = {a_turned ? a.columns : a.rows, b_turned ? b.rows : b.columns, a_turned ? a.rows : a.columns};
  for (const Layout* one : {&a, &b, &c, &d}) {
    if (one->apart < static_cast<std::int64_t>(one->rows) || one->count != a.count) return false;
  }
  return shape.depth == (b_turned ? b.columns : b.rows) && d.rows == shape.rows && d.columns == shape.columns &&
         c.rows == d.rows && c.columns == d.columns && a.type == b.type && c.type == d.type &&
         (a.type == CUDA_R_16BF || d.type == CUDA_R_32F);
}

// A way's number, and the alignments that it was promised.
cublasLtMatmulAlgo_t way_of(std::size_t which, const Preference& preference) {
  cublasLtMatmulAlgo_t way{};
  way.data[0] = which + 1;
  for (std::size_t i = 0; i < 4; ++i) way.data[i + 1] = preference.alignment[i];
  return way;
}

}  // namespace

FakeCublasLt& FakeCublasLt::here() {
  static FakeCublasLt one;
  return one;
}

}  // namespace overnight::kernels

using namespace overnight::kernels;

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = nullptr;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t) { return CUBLAS_STATUS_SUCCESS; }
const char* cublasLtGetStatusString(cublasStatus_t) { return "refused by the fake"; }
size_t cublasLtGetVersion() { return FakeCublasLt::here().version; }

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t apart) {
  *layout = reinterpret_cast<cublasLtMatrixLayout_t>(new Layout{type, rows, columns, apart});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete &own<Layout>(layout);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t what,
                                                const void* from, size_t size) {
  if (what == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT) return take(own<Layout>(layout).count, from, size);
  if (what == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET) return take(own<Layout>(layout).matrix_apart, from, size);
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* operation, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
  if (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F) return CUBLAS_STATUS_INVALID_VALUE;
  *operation = reinterpret_cast<cublasLtMatmulDesc_t>(new Operation);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t operation) {
  delete &own<Operation>(operation);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t what,
                                              const void* from, size_t size) {
  if (what == CUBLASLT_MATMUL_DESC_TRANSA) return take(own<Operation>(operation).turned[0], from, size);
  if (what == CUBLASLT_MATMUL_DESC_TRANSB) return take(own<Operation>(operation).turned[1], from, size);
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = reinterpret_cast<cublasLtMatmulPreference_t>(new Preference);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete &own<Preference>(preference);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t what, const void* from,
                                                    size_t size) {
  Preference& p = own<Preference>(preference);
  if (what == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) return take(p.workspace, from, size);
  if (what == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK) return take(p.reductions, from, size);
  if (what == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES) return take(p.alignment[0], from, size);
  if (what == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES) return take(p.alignment[1], from, size);
  if (what == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES) return take(p.alignment[2], from, size);
  if (what == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES) return take(p.alignment[3], from, size);
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t operation,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int* count) {
  FakeCublasLt& fake = FakeCublasLt::here();
  Shape shape;
  ++fake.asked;
  *count = 0;
  if (!agree(own<Operation>(operation), own<Layout>(a), own<Layout>(b), own<Layout>(c), own<Layout>(d), shape))
    return CUBLAS_STATUS_INVALID_VALUE;
  for (std::size_t i = 0; i < fake.ways.size() && *count < wanted; ++i) {
    results[*count] = {};
    results[*count].algo = way_of(i, own<Preference>(preference));
    results[(*count)++].state = CUBLAS_STATUS_SUCCESS;
  }
  return *count > 0 ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t,
                                       cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                       const cublasLtMatmulAlgo_t* way, cublasLtMatmulHeuristicResult_t* result) {
  *result = {};
  const std::uint64_t which = way->data[0];
  return which > 0 && which <= FakeCublasLt::here().ways.size() ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t operation, const void* alpha, const void* A,
                              cublasLtMatrixLayout_t a_layout, const void* B, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void* C, cublasLtMatrixLayout_t c_layout, void* D,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* way, void*, size_t,
                              cudaStream_t) {
  FakeCublasLt& fake = FakeCublasLt::here();
  const Operation& op = own<Operation>(operation);
  const Layout &a = own<Layout>(a_layout), &b = own<Layout>(b_layout), &c = own<Layout>(c_layout),
               &d = own<Layout>(d_layout);
  Shape shape;
  const std::size_t which = way->data[0] - 1;
  if (!agree(op, a, b, c, d, shape) || which >= fake.ways.size()) return CUBLAS_STATUS_INVALID_VALUE;
  if (fake.ways[which] < 0) return CUBLAS_STATUS_NOT_SUPPORTED;
  const void* pointers[] = {A, B, C, D};
  for (std::size_t i = 0; i < 4; ++i) {
    if (reinterpret_cast<std::uintptr_t>(pointers[i]) % way->data[i + 1] != 0) return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (C == D && (c.apart != d.apart || c.matrix_apart != d.matrix_apart)) return CUBLAS_STATUS_INVALID_VALUE;
  clock_ms += fake.ways[which];
  fake.played.push_back(which);
  const float by = *static_cast<const float*>(alpha), with = *static_cast<const float*>(beta);
  for (std::int64_t n = 0; n < a.count; ++n) {
    for (std::uint64_t column = 0; column < shape.columns; ++column) {
      for (std::uint64_t row = 0; row < shape.rows; ++row) {
        float sum = 0;
        for (std::uint64_t k = 0; k < shape.depth; ++k)
          sum += element(A, a, op.turned[0] == CUBLAS_OP_T, n, row, k) *
                 element(B, b, op.turned[1] == CUBLAS_OP_T, n, k, column);
        sum *= by;
        if (with != 0) sum += with * element(C, c, false, n, row, column);  // at 0 it is not read
        const std::int64_t at =
            n * d.matrix_apart + static_cast<std::int64_t>(row) + static_cast<std::int64_t>(column) * d.apart;
        if (d.type == CUDA_R_32F) static_cast<float*>(D)[at] = sum;
        if (d.type == CUDA_R_16BF) static_cast<bfloat16*>(D)[at] = sum;
      }
    }
  }
  return CUBLAS_STATUS_SUCCESS;
}

// ---- what the library's user asks of the driver: the time between two moments ----

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = reinterpret_cast<cudaEvent_t>(new double(0));
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  own<double>(event) = clock_ms;
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t began, cudaEvent_t ended) {
  *ms = static_cast<float>(own<double>(ended) - own<double>(began));
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete &own<double>(event);
  return cudaSuccess;
}
const char* cudaGetErrorString(cudaError_t) { return "refused by the fake"; }

}  // extern "C"
