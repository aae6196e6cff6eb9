// The style sheet of the page: light, dark, phone and paper.
#pragma once

#include <string_view>

namespace overnight::report {

std::string_view style_sheet();

}  // namespace overnight::report
