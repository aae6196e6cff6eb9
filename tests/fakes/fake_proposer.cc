#include "tests/fakes/fake_proposer.h"

#include <limits>

namespace overnight::fakes {

ports::Answer FakeProposer::ask(const ports::AskRequest& request) {
  ports::Answer answer;
  answer.used.tokens = budgets::Tokens::of(up_to(random_, worst_.tokens.count()));
  answer.used.money = budgets::MicroUsd::of(up_to(random_, worst_.money.count()));
  if (chance(random_, moods_.overspend)) answer.used.tokens = worst_.tokens * 2;
  answer.cost_unknown = chance(random_, moods_.cost_unknown);
  if (chance(random_, moods_.fail)) {
    answer.failure = "connection refused";
    return answer;
  }
  answer.exhausted = chance(random_, moods_.exhaust);
  const std::int64_t offered = chance(random_, 10) ? request.count * 3 : request.count;
  for (std::int64_t i = 0; i < offered; ++i) {
    core::Proposal proposal;
    proposal.params["x"] = static_cast<double>(up_to(random_, moods_.points)) / static_cast<double>(moods_.points);
    if (chance(random_, moods_.repeat) && !request.history.empty()) proposal.params = request.history.back().params;
    if (chance(random_, moods_.garbage)) {
      switch (random_() % 3) {
        case 0:
          proposal.params["x"] = std::numeric_limits<double>::quiet_NaN();
          break;
        case 1:
          proposal.params["x"] = std::string("\xff; rm -rf /");
          break;
        default:
          proposal.params["y"] = std::int64_t{1};
      }
    }
    answer.proposals.push_back(std::move(proposal));
  }
  return answer;
}

}  // namespace overnight::fakes
