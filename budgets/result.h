// Result<T, E>: a value, or an expected no (a refusal). E is the small error enum or struct of the layer that says no.
#pragma once

#include <tl/expected.hpp>

namespace overnight::budgets {

template <typename T, typename E>
using Result = tl::expected<T, E>;

using tl::unexpected;

}  // namespace overnight::budgets
