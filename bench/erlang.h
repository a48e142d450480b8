#pragma once

#include <string>

namespace bench {

// Whether Debian's erlang-base, or another Erlang, is here: what is told beside it is left out otherwise.
[[nodiscard]] bool erlang_is_here();
// What erlang.escript prints for `what`. Throws std::runtime_error if that is no number.
[[nodiscard]] double erlang(const std::string& what);

}  // namespace bench
