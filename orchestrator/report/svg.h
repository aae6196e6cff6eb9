// The few shapes that charts are made of, as SVG text. Colours are classes of style.cc, so that light, dark and print
// each have their own.
//
// Coordinates are rounded to a tenth of a pixel. Many marks of one kind are one path: a dot is a line of no length with
// a round cap, eight bytes or so, so that a chart of ten thousand trials stays small.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/report/axis.h"

namespace overnight::report {

std::string coordinate(double value);  // "12.3", "12"

class Svg {
 public:
  // `title` and `description` are read to people who cannot see it; plain text, escaped here.
  Svg(double width, double height, std::string_view title, std::string_view description);

  void line(double x1, double y1, double x2, double y2, std::string_view css_class);
  void box(double x, double y, double width, double height, std::string_view css_class, std::string_view hint = "");
  void dot(double x, double y, double radius, std::string_view css_class, std::string_view hint = "");
  // anchor: "start", "middle" or "end"
  void text(double x, double y, std::string_view words, std::string_view anchor, std::string_view css_class = "");
  void text_upwards(double x, double y, std::string_view words);
  void path(std::string_view data, std::string_view css_class, std::string_view hint = "");
  void raw(std::string_view shapes) { out_ += shapes; }

  // Ticks, their grid lines and labels.
  void bottom_axis(const Axis& axis, double y, double grid_top, std::string_view label, double label_x);
  void left_axis(const Axis& axis, double x, double grid_right, std::string_view label, double label_y);

  std::string take();

 private:
  std::string out_;
};

// The data of a path, piece by piece.
class PathData {
 public:
  void dot(double x, double y);
  void move(double x, double y);
  void across(double x);  // a horizontal line to x
  void down(double y);    // a vertical line to y
  void to(double x, double y);
  void cross(double x, double y, double reach);
  void diamond(double x, double y, double reach);
  bool empty() const { return data_.empty(); }
  const std::string& data() const { return data_; }

 private:
  std::string data_;
};

}  // namespace overnight::report
