// Where a graph lays its tensors.
#include "workers/model/graph.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/workers/model/machine.h"

namespace overnight::workers {
namespace {

std::set<std::size_t> places_of_gradients(const Graph& graph, const std::vector<std::string>& ends) {
  std::set<std::size_t> places;
  for (const Tensor& tensor : graph.tensors()) {
    for (const std::string& end : ends) {
      if (!tensor.parameter && tensor.name.ends_with(end)) places.insert(tensor.gradient_at);
    }
  }
  return places;
}

TEST(Graph, TheGradientStaysInItsPlaceAlongTheResidualStream) {
  for (const Walk walk : {Walk::cache, Walk::device}) {
    ModelConfig config = with_mixer("MA3C");
    config.depth = 4;
    const LanguageModel plain = make_language_model(config, batch, ModelUse::training, walk);
    EXPECT_EQ(places_of_gradients(plain.graph, {"stream"}).size(), 1u) << "from the last layer to the embedding";
    config.residual_mix = 1;
    const LanguageModel mixed = make_language_model(config, batch, ModelUse::training, walk);
    for (const std::string at : {"layers.0.", "layers.3."}) {
      std::size_t seen = 0;
      std::set<std::size_t> places;
      for (const Tensor& tensor : mixed.graph.tensors()) {
        if (tensor.parameter || !tensor.name.starts_with(at)) continue;
        if (!tensor.name.ends_with("stream") && !tensor.name.ends_with("blend")) continue;
        places.insert(tensor.gradient_at);
        ++seen;
      }
      EXPECT_EQ(seen, 3u);
      EXPECT_EQ(places.size(), 1u) << at << ": from its end to its blend";
    }
  }
}

// What an op of backward reads and what it writes, beside the gradient that it hands on.
TEST(Graph, GradientsOfOneOpLieApart) {
  for (const ModelConfig& config : every_kind()) {
    for (const Walk walk : {Walk::cache, Walk::device}) {
      const LanguageModel model = make_language_model(config, batch, ModelUse::training, walk);
      const Graph& graph = model.graph;
      for (const auto& op : graph.ops()) {
        std::vector<TensorId> all = op->writes();
        const std::optional<TensorId> handed = op->hands_on_gradient();
        for (const TensorId id : op->reads()) {
          if (!handed || id.index != handed->index) all.push_back(id);
        }
        std::vector<std::pair<std::size_t, std::size_t>> taken;
        std::set<std::size_t> seen;  // a stream may be blended with itself
        for (const TensorId id : all) {
          const Tensor& tensor = graph.tensor(id);
          if (tensor.parameter || !tensor.has_gradient || !seen.insert(id.index).second) continue;
          taken.emplace_back(tensor.gradient_at, tensor.gradient_at + tensor.count() * sizeof(Real));
        }
        std::sort(taken.begin(), taken.end());
        for (std::size_t i = 1; i < taken.size(); ++i) EXPECT_LE(taken[i - 1].second, taken[i].first) << op->kind();
      }
    }
  }
}

}  // namespace
}  // namespace overnight::workers
