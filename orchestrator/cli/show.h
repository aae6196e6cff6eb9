// What the conducting process shows: a live view on a terminal, plain timestamped lines elsewhere. Never blocks, and
// goes on without a terminal that was lost.
#pragma once

#include <deque>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "orchestrator/cli/console.h"
#include "orchestrator/cli/live_view.h"

namespace overnight::cli {

class Show {
 public:
  explicit Show(bool plain);

  // An event: kept for the view, and a line of its own where there is none.
  void tell(std::int64_t unix_ms, const std::string& kind, const std::string& text);
  // Draws the view, if there is one.
  void draw(const std::function<nlohmann::json()>& view);
  // The terminal is gone, the run is not.
  void lose_terminal();
  bool lost() const { return lost_; }
  bool stuck() const { return !console_.idle(); }  // nobody takes what was written
  // Back to plain output; the last view stays above.
  void finish(const std::function<nlohmann::json()>& view);
  const std::deque<std::string>& events() const { return events_; }

 private:
  Console console_;
  std::optional<Screen> screen_;
  std::deque<std::string> events_;
  bool lost_ = false;
};

}  // namespace overnight::cli
