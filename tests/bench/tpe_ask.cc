// What one proposal of the tpe proposer costs when so many trials are known: CPU time, the history shared as the loop
// shares it.
//
//   tpe_ask KNOWN ASKS
#include <random>

#include "orchestrator/proposers/draw.h"
#include "orchestrator/proposers/make_proposer.h"
#include "tests/bench/bench_study.h"
#include "tests/bench/figures.h"

int main(int argc, char** argv) {
  using namespace overnight;
  if (argc != 3) {
    std::cerr << "usage: tpe_ask KNOWN ASKS\n";
    return 2;
  }
  const std::int64_t known = std::stoll(argv[1]), asks = std::stoll(argv[2]);
  const core::Study study = bench::bench_study("tpe", known + asks);
  const auto proposer = proposers::make_proposer(study, 0, {}).value();
  std::mt19937_64 random(7);
  ports::AskRequest request;
  const auto learn = [&](core::Params params) {
    const double loss = bench::bench_loss(params);
    request.history.push_back({core::ExperimentId{}, std::move(params), loss, "", "tpe", ""});
  };
  for (std::int64_t i = 0; i < known; ++i) learn(proposers::draw(study.space, random));
  const double before = bench::cpu_seconds();
  for (std::int64_t i = 0; i < asks; ++i) {
    request.seed = static_cast<std::uint64_t>(i);
    ports::Answer answer = proposer->ask(request);
    learn(std::move(answer.proposals.front().params));
  }
  bench::tell("tpe at " + std::to_string(known) + " trials, CPU per proposal",
              (bench::cpu_seconds() - before) * 1000 / static_cast<double>(asks), "ms");
}
