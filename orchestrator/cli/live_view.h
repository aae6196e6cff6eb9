// The live view of a home on a terminal, from the API's view (server/views.h): budgets, slots and what runs in each,
// best so far, last events, time left. Pure: a view in, lines out.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "orchestrator/cli/terminal.h"

namespace overnight::cli {

struct ScreenSize {
  std::size_t columns = 80;
  std::size_t rows = 24;
  bool operator==(const ScreenSize&) const = default;
};

// At most `size.rows` lines of at most `size.columns` columns each (colour codes apart). What does not fit is left out,
// the least important first; `hint` is the last line: what the person can do.
std::vector<std::string> draw(const nlohmann::json& view, const std::vector<std::string>& events, ScreenSize size,
                              Look look, const std::string& hint = "");

// Puts lines in place of those shown before. Changes no mode of the terminal (no hidden cursor, no other screen), so
// that nothing has to be restored, however the program ends.
class Screen {
 public:
  explicit Screen(int terminal);

  ScreenSize size() const;  // one row less than the terminal has: the cursor stands below
  Look look() const { return look_; }
  // What to write to the terminal, so that it shows these lines. Each one must reach it whole.
  std::string frame(const std::vector<std::string>& lines);

 private:
  int terminal_;
  Look look_;
  std::size_t shown_ = 0;
  ScreenSize shown_at_;
};

}  // namespace overnight::cli
