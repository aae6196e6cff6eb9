#include "orchestrator/report/svg.h"

#include <fmt/format.h>

#include <cmath>

#include "orchestrator/report/words.h"

namespace overnight::report {
namespace {

std::string with_hint(std::string_view tag, std::string_view hint) {
  if (hint.empty()) return "/>";
  return fmt::format("><title>{}</title></{}>", html(hint, 600), tag);
}

}  // namespace

std::string coordinate(double value) {
  if (!std::isfinite(value)) return "0";
  const long long tenths = std::llround(value * 10);
  if (tenths % 10 == 0) return std::to_string(tenths / 10);
  return fmt::format("{:.1f}", static_cast<double>(tenths) / 10);
}

Svg::Svg(double width, double height, std::string_view title, std::string_view description) {
  out_ = fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\"><title>{}</title><desc>{}</desc>\n",
                     coordinate(width), coordinate(height), html(title), html(title), html(description, 1000));
}

void Svg::line(double x1, double y1, double x2, double y2, std::string_view css_class) {
  out_ += fmt::format("<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" class=\"{}\"/>\n", coordinate(x1), coordinate(y1),
                      coordinate(x2), coordinate(y2), css_class);
}

void Svg::box(double x, double y, double width, double height, std::string_view css_class, std::string_view hint) {
  out_ += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" class=\"{}\"{}\n", coordinate(x),
                      coordinate(y), coordinate(std::max(0.0, width)), coordinate(std::max(0.0, height)), css_class,
                      with_hint("rect", hint));
}

void Svg::dot(double x, double y, double radius, std::string_view css_class, std::string_view hint) {
  out_ += fmt::format("<circle cx=\"{}\" cy=\"{}\" r=\"{}\" class=\"{}\"{}\n", coordinate(x), coordinate(y),
                      coordinate(radius), css_class, with_hint("circle", hint));
}

void Svg::text(double x, double y, std::string_view words, std::string_view anchor, std::string_view css_class) {
  out_ += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"{}\" class=\"{}\">{}</text>\n", coordinate(x),
                      coordinate(y), anchor, css_class, html(words));
}

void Svg::text_upwards(double x, double y, std::string_view words) {
  out_ +=
      fmt::format("<text transform=\"translate({} {}) rotate(-90)\" text-anchor=\"middle\" class=\"label\">{}</text>\n",
                  coordinate(x), coordinate(y), html(words, 80));
}

void Svg::path(std::string_view data, std::string_view css_class, std::string_view hint) {
  if (data.empty()) return;
  out_ += fmt::format("<path class=\"{}\" d=\"{}\"{}\n", css_class, data, with_hint("path", hint));
}

void Svg::bottom_axis(const Axis& axis, double y, double grid_top, std::string_view label, double label_x) {
  for (const Tick& tick : axis.ticks()) {
    const double x = axis.at(tick.value);
    line(x, grid_top, x, y, "grid");
    text(x, y + 16, tick.label, "middle");
  }
  if (!label.empty()) text(label_x, y + 34, label, "middle", "label");
}

void Svg::left_axis(const Axis& axis, double x, double grid_right, std::string_view label, double label_y) {
  for (const Tick& tick : axis.ticks()) {
    const double y = axis.at(tick.value);
    line(x, y, grid_right, y, "grid");
    text(x - 8, y + 4, tick.label, "end");
  }
  if (!label.empty()) text_upwards(14, label_y, label);
}

std::string Svg::take() { return std::move(out_) + "</svg>\n"; }

void PathData::move(double x, double y) { data_ += "M" + coordinate(x) + " " + coordinate(y); }
void PathData::dot(double x, double y) {
  move(x, y);
  data_ += "h0";
}
void PathData::across(double x) { data_ += "H" + coordinate(x); }
void PathData::down(double y) { data_ += "V" + coordinate(y); }
void PathData::to(double x, double y) { data_ += "L" + coordinate(x) + " " + coordinate(y); }

void PathData::cross(double x, double y, double reach) {
  move(x - reach, y - reach);
  to(x + reach, y + reach);
  move(x - reach, y + reach);
  to(x + reach, y - reach);
}

void PathData::diamond(double x, double y, double reach) {
  move(x, y - reach);
  to(x + reach, y);
  to(x, y + reach);
  to(x - reach, y);
  data_ += "Z";
}

}  // namespace overnight::report
