#include "workers/trainer/product_speed.h"

#include <chrono>
#include <vector>

#include "kernels/kernels.h"
#include "workers/model/crew.h"

namespace overnight::workers {

double product_speed(std::size_t threads, double seconds) {
  using Clock = std::chrono::steady_clock;
  constexpr std::size_t size = 512;  // square: large enough for full speed, small enough for the cache
  constexpr double flops = 2.0 * size * size * size;
  std::vector<double> speeds(threads);
  Crew crew(threads);
  crew.run([&](std::size_t thread) {
    const std::vector<float> a(size * size, 0.5f), b(size * size, 0.25f);
    std::vector<float> c(size * size);
    const auto multiply = [&] {
      kernels::blas_product(c.data(), size, {a.data(), size, 1}, {b.data(), size, 1}, size, size, size, false);
    };
    multiply();
    double done = 0, elapsed = 0;
    for (const auto began = Clock::now(); elapsed < seconds; ++done) {
      multiply();
      elapsed = std::chrono::duration<double>(Clock::now() - began).count();
    }
    speeds[thread] = done * flops / elapsed;
  });
  double sum = 0;
  for (const double one : speeds) sum += one;
  return sum;
}

}  // namespace overnight::workers
