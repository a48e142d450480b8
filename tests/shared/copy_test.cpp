#include "shared/copy.h"

#include <algorithm>
#include <vector>

#include "support/catch.h"

using namespace troupe::shared;

TEST_CASE("bytes of every size are copied, and no others touched") {
  for (std::size_t size = 0; size < 600; ++size) {
    std::vector<std::byte> from(size), to(size + 2, std::byte{255});
    for (std::size_t i = 0; i < size; ++i) from[i] = static_cast<std::byte>(i * 7 + size);
    const auto copies = [&] {
      return std::equal(from.begin(), from.end(), to.begin() + 1) && to.front() == std::byte{255} && to.back() == std::byte{255};
    };
    INFO(size);
    copy_inline(to.data() + 1, from.data(), size);
    REQUIRE(copies());
    std::fill(to.begin() + 1, to.end() - 1, std::byte{0});
    copy_small(to.data() + 1, from.data(), size);
    REQUIRE(copies());
  }
}
