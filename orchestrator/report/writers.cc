#include "orchestrator/report/writers.h"

#include <array>
#include <utility>

namespace overnight::report {
namespace {

constexpr std::array<std::pair<Format, std::string_view>, 4> names{
    {{Format::html, "html"}, {Format::markdown, "md"}, {Format::csv, "csv"}, {Format::json, "json"}}};

}  // namespace

std::string_view name_of(Format format) {
  for (const auto& [known, name] : names) {
    if (known == format) return name;
  }
  return "?";
}

std::optional<Format> format_named(std::string_view name) {
  for (const auto& [format, known] : names) {
    if (known == name) return format;
  }
  return std::nullopt;
}

std::string write_report(const ReportData& data, const Findings& found, Format format) {
  switch (format) {
    case Format::html:
      return to_html(data, found);
    case Format::markdown:
      return to_markdown(data, found);
    case Format::csv:
      return to_csv(data, found);
    case Format::json:
      return to_json(data, found);
  }
  return "";
}

}  // namespace overnight::report
