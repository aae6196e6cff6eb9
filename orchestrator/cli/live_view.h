// The live view of a home on a terminal, from the API's view (server/views.h): budgets, slots and what runs in each,
// best so far, last events, time left. Pure: a view in, lines out.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace overnight::cli {

struct ScreenSize {
  std::size_t columns = 80;
  std::size_t rows = 24;
};

// At most `size.rows` lines of at most `size.columns` characters each (colour codes apart).
std::vector<std::string> draw(const nlohmann::json& view, const std::vector<std::string>& events, ScreenSize size,
                              bool colours);

// Shows lines in place of those shown before; restores the terminal when it ends.
class Screen {
 public:
  explicit Screen(int terminal);
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  ScreenSize size() const;
  void show(const std::vector<std::string>& lines);
  void leave();  // back to plain output; the last view stays above

 private:
  int terminal_;
  std::size_t shown_ = 0;
};

}  // namespace overnight::cli
