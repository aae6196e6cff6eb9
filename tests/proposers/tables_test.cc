// tpe against random search on exhaustive tables of real training results (OVERNIGHT_TEST_DATA/hpo-tables), by the
// protocol that lies beside them: one noisy repetition per evaluation, regret of the incumbent's true mean, normalised
// by best and median.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "orchestrator/proposers/draw.h"
#include "orchestrator/proposers/sampling_proposers.h"
#include "orchestrator/proposers/tpe_proposer.h"
#include "tests/proposers/asked.h"

namespace overnight::proposers {
namespace {

struct Table {
  std::map<std::string, std::vector<double>> scores;  // id -> repetitions, larger is better
  core::Space space;
  double best = 0, median = 0;

  static double mean(const std::vector<double>& values) {
    double sum = 0;
    for (const double v : values) sum += v;
    return sum / static_cast<double>(values.size());
  }
};

// `ordered`: which digits count as numbers; the others are choices.
Table read(const std::string& folder, const std::string& name, const std::string& ordered) {
  Table table;
  std::ifstream in(folder + "/" + name + ".csv");
  std::string line;
  std::getline(in, line);
  std::string largest;
  while (std::getline(in, line)) {
    std::istringstream cells(line);
    std::string id, cell;
    std::getline(cells, id, ',');
    while (std::getline(cells, cell, ',')) {
      if (cell.empty()) continue;
      const double value = std::stod(cell);
      table.scores[id].push_back(name.starts_with("hpolib") ? -std::log10(std::max(value, 1e-12)) : value);
    }
    if (largest.empty()) largest = id;
    for (std::size_t i = 0; i < id.size(); ++i) largest[i] = std::max(largest[i], id[i]);
  }
  for (std::size_t i = 0; i < largest.size(); ++i) {
    const std::int64_t high = largest[i] - '0';
    core::Dimension dimension{"d" + std::to_string(i), core::IntRange{0, high, core::Scale::linear, 1}, {}};
    if (ordered[i] != 'n') {
      core::Choice choice;
      for (std::int64_t v = 0; v <= high; ++v) choice.values.push_back(v);
      dimension.domain = choice;
    }
    table.space.dimensions.push_back(dimension);
  }
  std::vector<double> means;
  for (const auto& [_, scores] : table.scores) means.push_back(Table::mean(scores));
  std::sort(means.begin(), means.end());
  table.best = means.back();
  table.median = means[means.size() / 2];
  return table;
}

double regret(const Table& table, ports::Proposer& proposer, int trials, std::uint64_t seed) {
  Asked asked{proposer};
  std::mt19937_64 random(1000 * seed + 7);
  std::string incumbent;
  double incumbent_score = -1e300;
  for (int i = 0; i < trials; ++i) {
    asked.once(1, random(), [&](const core::Params& point) -> std::optional<double> {
      std::string id;
      for (const auto& [_, digit] : point) id += std::to_string(std::get<std::int64_t>(digit));
      const auto& repetitions = table.scores.at(id);
      const double score =
          repetitions[static_cast<std::size_t>(unit(random) * static_cast<double>(repetitions.size()))];
      if (score > incumbent_score) incumbent_score = score, incumbent = id;
      return score;
    });
  }
  return (table.best - Table::mean(table.scores.at(incumbent))) / (table.best - table.median);
}

TEST(Tables, TpeHasLessRegretThanRandomSearch) {
  const char* data = std::getenv("OVERNIGHT_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "OVERNIGHT_TEST_DATA is not set: the recorded tables are not here";
  const bool all = std::getenv("OVERNIGHT_TORTURE") != nullptr;
  const std::uint64_t seeds = all ? 40 : 6;
  std::vector<std::pair<std::string, std::string>> names{
      {"hpobench_vehicle", "nnnnn"}, {"hpolib_protein_structure", "ccnnnncnn"}, {"nasbench201_cifar100", "cccccc"}};
  if (all) {
    names.insert(names.end(), {{"hpobench_car", "nnnnn"},
                               {"hpobench_credit_g", "nnnnn"},
                               {"hpolib_naval_propulsion", "ccnnnncnn"},
                               {"nasbench201_cifar10", "cccccc"},
                               {"nasbench201_imagenet", "cccccc"}});
  }
  double tpe_sum = 0, random_sum = 0;
  for (const auto& [name, ordered] : names) {
    const Table table = read(std::string(data) + "/hpo-tables", name, ordered);
    double tpe_regret = 0, random_regret = 0;
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
      TpeProposer tpe(table.space, core::Direction::maximize, {});
      RandomProposer random(table.space);
      tpe_regret += regret(table, tpe, 100, seed) / static_cast<double>(seeds);
      random_regret += regret(table, random, 100, seed) / static_cast<double>(seeds);
    }
    std::cout << name << ": regret after 100 trials, tpe " << tpe_regret << ", random " << random_regret << "\n";
    tpe_sum += tpe_regret;
    random_sum += random_regret;
  }
  std::cout << "mean: tpe " << tpe_sum / static_cast<double>(names.size()) << ", random "
            << random_sum / static_cast<double>(names.size()) << "\n";
  EXPECT_LT(tpe_sum, 0.7 * random_sum);
}

}  // namespace
}  // namespace overnight::proposers
