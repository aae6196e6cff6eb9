#include "orchestrator/proposers/known_points.h"

namespace overnight::proposers {

bool KnownPoints::begin(const ports::AskRequest& request) {
  const bool goes_on = request.history.continues(told_);
  if (!goes_on) {
    told_ = {};
    run_.clear();
  }
  for (std::size_t i = told_.size(); i < request.history.size(); ++i)
    run_.insert(core::canonical_hash(request.history[i].params));
  told_ = request.history;
  now_.clear();
  for (const core::Params& params : request.pending) now_.insert(core::canonical_hash(params));
  return goes_on;
}

}  // namespace overnight::proposers
