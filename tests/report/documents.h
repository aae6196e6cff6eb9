// Strict readers of what reports are written in, to find what a lenient browser or spreadsheet would forgive.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace overnight::report {

// Empty if every tag is closed in order, every attribute quoted, every & an entity, and no < or > stands alone.
std::string what_is_wrong_with_html(std::string_view html);

// Rows and fields by RFC 4180; one row with "error: ..." if the text is none.
std::vector<std::vector<std::string>> read_csv(std::string_view text);

}  // namespace overnight::report
