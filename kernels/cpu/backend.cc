// Chooses the table for this machine; OpenBLAS's products, which ours are measured against.
#include <cblas.h>
#include <algorithm>

#include <unistd.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include <cmath>
#include <cstdlib>
#include <string_view>

#include "kernels/cpu/tables.h"

namespace overnight::kernels {
namespace {

bool runs(std::string_view name) {
  if (name == "base") return true;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (name == "avx2") return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (name == "avx512")
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
#endif
  return false;
}

int narrow(std::size_t size) { return static_cast<int>(size); }

}  // namespace

const Backend* cpu_backend_named(const char* name) {
  if (!runs(name)) return nullptr;
#if defined(__x86_64__)
  for (const Backend* table : {&avx512::table, &avx2::table}) {
    if (std::string_view(table->name) == name) return table;
  }
#endif
  return std::string_view("base") == name ? &base::table : nullptr;
}

const Backend& cpu_backend() {
  for (const char* name : {"avx512", "avx2"}) {
    if (const Backend* table = cpu_backend_named(name)) return *table;
  }
  return base::table;
}

std::size_t attention_scratch(AttentionShape shape) { return 2 * attention_rows * shape.context; }

std::size_t state_space_scratch(StateSpaceShape s) {
  const std::size_t flat = s.chunk * s.rank;
  return 3 * flat * flat + flat * (2 * s.state + s.head_size + 7) + s.heads * s.head_size * s.state;
}

void blas_product(float* out, std::size_t stride, Matrix a, Matrix b, std::size_t rows, std::size_t columns,
                  std::size_t depth, bool add) {
  openblas_set_num_threads(1);
  const bool a_turned = a.column_stride != 1, b_turned = b.column_stride != 1;
  cblas_sgemm(CblasRowMajor, a_turned ? CblasTrans : CblasNoTrans, b_turned ? CblasTrans : CblasNoTrans, narrow(rows),
              narrow(columns), narrow(depth), 1, a.data, narrow(a_turned ? a.column_stride : a.row_stride), b.data,
              narrow(b_turned ? b.column_stride : b.row_stride), add ? 1.0f : 0.0f, out, narrow(stride));
}

void flush_denormals() {
#if defined(__x86_64__)
  constexpr unsigned flush_to_zero = 0x8000, denormals_are_zero = 0x0040;
  _mm_setcsr(_mm_getcsr() | flush_to_zero | denormals_are_zero);
#endif
}

const char* blas_core() { return openblas_get_corename(); }

const char* better_blas_core() {
  const std::string_view core = blas_core();
  for (const char* old : {"Prescott", "Nehalem", "Core2", "Penryn", "Sandybridge", "Generic", "generic"}) {
    if (core != old) continue;
    if (runs("avx512")) return "SKYLAKEX";
    if (runs("avx2")) return "HASWELL";
  }
  return "";
}

void restart_with_better_blas_core(char** argv) {
  const char* better = better_blas_core();
  if (*better == '\0' || std::getenv("OPENBLAS_CORETYPE") != nullptr) return;
  setenv("OPENBLAS_CORETYPE", better, 1);
  execv("/proc/self/exe", argv);  // if it fails, this program goes on, slower
}

namespace {

template <typename Real>
void fill_rotary_table(Real* turns, std::size_t context, std::size_t head_size, double base) {
  const std::size_t half = head_size / 2;
  for (std::size_t t = 0; t < context; ++t) {
    for (std::size_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(t) * std::pow(base, -static_cast<double>(i) / static_cast<double>(half));
      turns[t * head_size + i] = static_cast<Real>(std::cos(angle));
      turns[t * head_size + half + i] = static_cast<Real>(std::sin(angle));
    }
  }
}

}  // namespace

void rotary_table(float* turns, std::size_t context, std::size_t head_size, double base) {
  fill_rotary_table(turns, context, head_size, base);
}
void rotary_table(double* turns, std::size_t context, std::size_t head_size, double base) {
  fill_rotary_table(turns, context, head_size, base);
}

}  // namespace overnight::kernels
