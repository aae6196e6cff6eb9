// Our rows and columns against a library that thinks in columns (tests/fakes/fake_cublaslt.cc), and which of its ways
// is taken. Built where there is the CUDA toolkit; needs no GPU.
#include "kernels/cuda/library_product.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "kernels/bfloat16.h"
#include "tests/fakes/fake_cublaslt.h"
#include "tests/kernels/numeric.h"

namespace overnight::kernels::cuda {
namespace {

namespace fs = std::filesystem;

class LibraryProduct : public testing::Test {
 protected:
  LibraryProduct() {
    char name[] = "/tmp/overnight-library-XXXXXX";
    folder_ = mkdtemp(name);
    FakeCublasLt::here() = {};
  }
  ~LibraryProduct() override { fs::remove_all(folder_); }
  LibraryProducts open() const { return LibraryProducts("NVIDIA H200", folder_ / "products", nullptr, nullptr); }
  static FakeCublasLt& fake() { return FakeCublasLt::here(); }

  fs::path folder_;
};

// One product of three by two by four; matrices of a batch and their rows with gaps between them.
template <typename Out, typename Real>
struct Case {
  static constexpr double near = sizeof(Out) == sizeof(float) ? 1e-5 : 0.02;
  static constexpr std::size_t rows = 3, columns = 2, depth = 4, gap = 3;
  bool a_turned, b_turned;
  std::size_t count;
  std::size_t stride = columns + gap, a_row = a_turned ? rows + gap : depth + gap,
              b_row = b_turned ? depth + gap : columns + gap;
  ProductBatch batch{count, a_row*(a_turned ? depth : rows), b_row*(b_turned ? columns : depth), stride* rows + gap};
  std::vector<Real> a = drawn<Real>(batch.a * count, 1), b = drawn<Real>(batch.b * count, 2);
  std::vector<Out> plus = drawn<Out>(batch.out * count, 3);

  template <typename Number>
  static std::vector<Number> drawn(std::size_t size, std::uint64_t seed) {
    std::vector<Number> made;
    for (const double one : draw(size, seed)) made.push_back(static_cast<float>(one));
    return made;
  }
  MatrixOf<Real> left() const {
    return a_turned ? MatrixOf<Real>{a.data(), 1, a_row} : MatrixOf<Real>{a.data(), a_row, 1};
  }
  MatrixOf<Real> right() const {
    return b_turned ? MatrixOf<Real>{b.data(), 1, b_row} : MatrixOf<Real>{b.data(), b_row, 1};
  }
  bool multiply(LibraryProducts& library, Out* out, const Out* more, float alpha, float beta) const {
    const ProductKey key = product_key(out, stride, left(), right(), rows, columns, depth, more, batch);
    return library.multiply(out, a.data(), b.data(), more, alpha, more != nullptr ? beta : 0, key);
  }
  // Element (r, c) of matrix n of alpha a b + beta plus.
  double expected(std::size_t n, std::size_t r, std::size_t c, double alpha, double beta) const {
    const MatrixOf<Real> x = left(), y = right();
    double sum = 0;
    for (std::size_t k = 0; k < depth; ++k)
      sum += static_cast<double>(static_cast<float>(x.data[n * batch.a + r * x.row_stride + k * x.column_stride])) *
             static_cast<double>(static_cast<float>(y.data[n * batch.b + k * y.row_stride + c * y.column_stride]));
    return alpha * sum + beta * static_cast<double>(static_cast<float>(plus[n * batch.out + r * stride + c]));
  }
  void expect(const std::vector<Out>& out, const std::vector<Out>& before, double alpha, double beta) const {
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::size_t n = i / batch.out, r = i % batch.out / stride, c = i % batch.out % stride;
      if (r < rows && c < columns) {
        EXPECT_NEAR(static_cast<float>(out[i]), expected(n, r, c, alpha, beta), near);
      } else {
        EXPECT_EQ(static_cast<float>(out[i]), static_cast<float>(before[i])) << "nothing is written between rows";
      }
    }
  }
};

template <typename Out, typename Real>
void try_all(LibraryProducts& library) {
  for (const bool a_turned : {false, true}) {
    for (const bool b_turned : {false, true}) {
      for (const std::size_t count : {1u, 3u}) {
        SCOPED_TRACE(std::string(a_turned ? "a turned " : "") + (b_turned ? "b turned " : "") + std::to_string(count));
        const Case<Out, Real> one{a_turned, b_turned, count};
        const std::vector<Out> blank(one.plus.size(), Out(7.0f));
        std::vector<Out> out = blank;
        ASSERT_TRUE(one.multiply(library, out.data(), nullptr, 1, 1));
        one.expect(out, blank, 1, 0);
        out = blank;
        ASSERT_TRUE(one.multiply(library, out.data(), one.plus.data(), 2, 0.5f));
        one.expect(out, blank, 2, 0.5);
        out = one.plus;
        ASSERT_TRUE(one.multiply(library, out.data(), out.data(), 1, 1));
        one.expect(out, one.plus, 1, 1);
      }
    }
  }
}

TEST_F(LibraryProduct, IsThatOfRowsAndColumnsWhicheverAreTurned) {
  LibraryProducts library = open();
  try_all<float, float>(library);
  try_all<bfloat16, bfloat16>(library);
  try_all<float, bfloat16>(library);
  EXPECT_EQ(fake().asked, 3u * 8 * 3) << "once for each kind of product";
  try_all<float, bfloat16>(library);
  EXPECT_EQ(fake().asked, 3u * 8 * 3);
}

TEST_F(LibraryProduct, WhileTuningTheFastestWayIsFoundAndKept) {
  const Case<float, float> one{false, true, 1};
  std::vector<float> out(one.plus.size());
  {
    LibraryProducts library = open();
    ASSERT_TRUE(one.multiply(library, out.data(), nullptr, 1, 0));
    EXPECT_EQ(fake().played, std::vector<std::size_t>{0}) << "the library's first choice";
    library.tune(true);
    ASSERT_TRUE(one.multiply(library, out.data(), nullptr, 1, 0));
    EXPECT_EQ(fake().played.back(), 2u);
    one.expect(out, std::vector<float>(out.size()), 1, 0);
    library.tune(false);
    ASSERT_TRUE(one.multiply(library, out.data(), nullptr, 1, 0));
    EXPECT_EQ(fake().played.back(), 0u) << "whatever was found";
    library.use_kept(true);
    ASSERT_TRUE(one.multiply(library, out.data(), nullptr, 1, 0));
    EXPECT_EQ(fake().played.back(), 2u);
    EXPECT_FALSE(fs::exists(folder_ / "products")) << "not before it is asked for";
    EXPECT_EQ(library.keep_found(), "");
  }
  fake().asked = 0;
  LibraryProducts again = open();
  again.use_kept(true);
  ASSERT_TRUE(one.multiply(again, out.data(), nullptr, 1, 0));
  EXPECT_EQ(fake().played.back(), 2u);
  EXPECT_EQ(fake().asked, 0u) << "what another program found";
}

TEST_F(LibraryProduct, AFileOfAnotherLibraryOrOfNonsenseChoosesNothing) {
  const Case<float, float> one{false, false, 1};
  std::vector<float> out(one.plus.size());
  LibraryProducts first = open();
  first.tune(true);
  ASSERT_TRUE(one.multiply(first, out.data(), nullptr, 1, 0));
  ASSERT_EQ(first.keep_found(), "");
  fake().ways = {3, -1};  // a way that there is no more
  LibraryProducts fewer = open();
  fewer.use_kept(true);
  ASSERT_TRUE(one.multiply(fewer, out.data(), nullptr, 1, 0));
  EXPECT_EQ(fake().played.back(), 0u);
  fake() = {};
  fake().version = 140000;
  LibraryProducts other = open();
  other.use_kept(true);
  ASSERT_TRUE(one.multiply(other, out.data(), nullptr, 1, 0));
  EXPECT_EQ(fake().played.back(), 0u);
}

TEST_F(LibraryProduct, WithoutAWayNothingIsDone) {
  const Case<float, bfloat16> one{true, false, 1};
  std::vector<float> out(one.plus.size(), 5.0f);
  fake().ways = {};
  LibraryProducts none = open();
  EXPECT_FALSE(one.multiply(none, out.data(), nullptr, 1, 0));
  fake().ways = {-1};  // promised, and then refused
  LibraryProducts refused = open();
  EXPECT_FALSE(one.multiply(refused, out.data(), nullptr, 1, 0));
  EXPECT_FALSE(one.multiply(refused, out.data(), nullptr, 1, 0));
  EXPECT_EQ(out, std::vector<float>(out.size(), 5.0f));
}

TEST_F(LibraryProduct, WhatCouldNotBeKeptIsTold) {
  const Case<float, float> one{false, false, 1};
  std::vector<float> out(one.plus.size());
  std::ofstream(folder_ / "products") << "something else\n";
  LibraryProducts library = open();
  library.tune(true);
  ASSERT_TRUE(one.multiply(library, out.data(), nullptr, 1, 0));
  EXPECT_NE(library.keep_found().find("it holds something else"), std::string::npos);
}

// A matrix within another begins where it begins: a plan that wants more is another plan.
TEST_F(LibraryProduct, PlansAreAskedForWithTheAlignmentThatThereIs) {
  const Case<float, float> one{false, false, 1};
  std::vector<float> room(one.plus.size() + 64);
  LibraryProducts library = open();
  for (const std::size_t offset : {0u, 1u, 2u, 4u, 16u})
    EXPECT_TRUE(one.multiply(library, room.data() + offset, nullptr, 1, 0)) << offset;
}

}  // namespace
}  // namespace overnight::kernels::cuda
