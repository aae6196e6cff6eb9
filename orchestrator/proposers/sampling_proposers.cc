#include "orchestrator/proposers/sampling_proposers.h"

#include <array>

#include "orchestrator/proposers/draw.h"

namespace overnight::proposers {
namespace {

constexpr int draws_per_point_max = 64;  // then the space is nearly used up, and a known point is offered and refused
constexpr std::uint32_t sobol_looked_at_max = 1u << 20;  // points passed over because they are known

// Degree, coefficients and initial direction numbers of dimensions 2 and up (Joe and Kuo 2008).
struct Primitive {
  int degree;
  std::uint32_t coefficients;
  std::array<std::uint32_t, 7> m;
};
constexpr std::array<Primitive, 20> primitives{{
    {1, 0, {1}},
    {2, 1, {1, 3}},
    {3, 1, {1, 3, 1}},
    {3, 2, {1, 1, 1}},
    {4, 1, {1, 1, 3, 3}},
    {4, 4, {1, 3, 5, 13}},
    {5, 2, {1, 1, 5, 5, 17}},
    {5, 4, {1, 1, 5, 5, 5}},
    {5, 7, {1, 1, 7, 11, 19}},
    {5, 11, {1, 1, 5, 1, 1}},
    {5, 13, {1, 1, 1, 3, 11}},
    {5, 14, {1, 3, 5, 5, 31}},
    {6, 1, {1, 3, 3, 9, 7, 49}},
    {6, 13, {1, 1, 1, 15, 21, 21}},
    {6, 16, {1, 3, 1, 13, 27, 49}},
    {6, 19, {1, 1, 1, 15, 7, 5}},
    {6, 22, {1, 3, 1, 15, 13, 25}},
    {6, 25, {1, 1, 5, 5, 19, 61}},
    {7, 1, {1, 3, 7, 11, 23, 15, 103}},
    {7, 4, {1, 3, 7, 13, 13, 15, 69}},
}};
static_assert(primitives.size() + 1 == sobol_dimensions_max);

// The 32 direction numbers of one dimension.
std::array<std::uint32_t, 32> directions(std::size_t dimension) {
  std::array<std::uint32_t, 32> v{};
  if (dimension == 0) {
    for (std::size_t i = 0; i < 32; ++i) v[i] = 1u << (31 - i);
    return v;
  }
  const Primitive& p = primitives[dimension - 1];
  const auto s = static_cast<std::size_t>(p.degree);
  for (std::size_t i = 0; i < 32; ++i) {
    if (i < s) {
      v[i] = p.m[i] << (31 - i);
      continue;
    }
    v[i] = v[i - s] ^ (v[i - s] >> s);
    for (std::size_t k = 1; k < s; ++k) {
      if (((p.coefficients >> (s - 1 - k)) & 1u) != 0) v[i] ^= v[i - k];
    }
  }
  return v;
}

void grow_grid(const core::Space& space, std::size_t index, std::int64_t per_dimension, core::Params& point,
               std::vector<core::Params>& points) {
  if (points.size() > grid_points_max) return;
  if (index == space.dimensions.size()) {
    points.push_back(point);
    return;
  }
  const core::Dimension& dimension = space.dimensions[index];
  if (!core::is_active(dimension, point)) {
    grow_grid(space, index + 1, per_dimension, point, points);
    return;
  }
  const std::int64_t steps = steps_of(dimension);
  const bool is_choice = std::holds_alternative<core::Choice>(dimension.domain);
  const std::int64_t count = is_choice ? steps : steps > 0 ? std::min(steps, per_dimension) : per_dimension;
  for (std::int64_t i = 0; i < count; ++i) {
    const double u = is_choice || count == steps ? (static_cast<double>(i) + 0.5) / static_cast<double>(count)
                     : count == 1                ? 0.5
                                                 : static_cast<double>(i) / static_cast<double>(count - 1);
    point[dimension.name] = at(dimension, u);
    grow_grid(space, index + 1, per_dimension, point, points);
  }
  point.erase(dimension.name);
}

}  // namespace

ports::Answer RandomProposer::ask(const ports::AskRequest& request) {
  std::mt19937_64 random(request.seed);
  known_.begin(request);
  ports::Answer answer;
  for (std::int64_t i = 0; i < request.count; ++i) {
    core::Params point = draw(space_, random);
    for (int tries = 1; tries < draws_per_point_max && !known_.add(core::canonical_hash(point)); ++tries)
      point = draw(space_, random);
    answer.proposals.push_back({std::move(point), "", {}});
  }
  return answer;
}

ListProposer::ListProposer(std::vector<core::Params> points) : points_(std::move(points)) {
  for (const core::Params& point : points_) hashes_.push_back(core::canonical_hash(point));
}

ports::Answer ListProposer::ask(const ports::AskRequest& request) {
  known_.begin(request);
  ports::Answer answer;
  answer.exhausted = true;
  for (std::size_t i = 0; i < points_.size(); ++i) {
    if (!known_.add(hashes_[i])) continue;
    if (static_cast<std::int64_t>(answer.proposals.size()) == request.count) {
      answer.exhausted = false;
      break;
    }
    answer.proposals.push_back({points_[i], "", {}});
  }
  return answer;
}

std::vector<core::Params> grid_points(const core::Space& space, std::int64_t per_dimension) {
  std::vector<core::Params> points;
  core::Params point;
  grow_grid(space, 0, std::max<std::int64_t>(1, per_dimension), point, points);
  if (points.size() > grid_points_max) points.clear();
  return points;
}

std::uint32_t sobol(std::size_t dimension, std::uint32_t index) {
  const auto v = directions(dimension);
  const std::uint32_t gray = index ^ (index >> 1);
  std::uint32_t x = 0;
  for (std::size_t bit = 0; bit < 32; ++bit) {
    if (((gray >> bit) & 1u) != 0) x ^= v[bit];
  }
  return x;
}

SobolProposer::SobolProposer(core::Space space, std::uint64_t seed) : space_(std::move(space)) {
  std::mt19937_64 shifts(seed);
  for (std::size_t i = 0; i < space_.dimensions.size(); ++i) shift_.push_back(static_cast<std::uint32_t>(shifts()));
}

core::Params SobolProposer::point(std::uint32_t index) const {
  core::Params point;
  for (std::size_t d = 0; d < space_.dimensions.size(); ++d) {
    if (!core::is_active(space_.dimensions[d], point)) continue;
    point[space_.dimensions[d].name] =
        at(space_.dimensions[d], static_cast<double>(sobol(d, index) ^ shift_[d]) * 0x1.0p-32);
  }
  return point;
}

ports::Answer SobolProposer::ask(const ports::AskRequest& request) {
  if (!known_.begin(request)) first_ = 0;
  while (first_ < sobol_looked_at_max && known_.was_run(core::canonical_hash(point(first_)))) ++first_;
  ports::Answer answer;
  for (std::uint32_t index = first_;
       index < sobol_looked_at_max && static_cast<std::int64_t>(answer.proposals.size()) < request.count; ++index) {
    core::Params next = point(index);
    if (known_.add(core::canonical_hash(next))) answer.proposals.push_back({std::move(next), "", {}});
  }
  answer.exhausted = static_cast<std::int64_t>(answer.proposals.size()) < request.count;
  return answer;
}

}  // namespace overnight::proposers
