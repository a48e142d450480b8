// Bytes that claim to be values. The first byte picks the types that are expected; with its highest bit set their name is put in front, so
// that the fuzzer need not find it.
#include <troupe/errors.h>
#include <troupe/value.h>

#include <cstdlib>

using namespace troupe;

namespace {

struct Point {
  int x;
  double y;
};
struct Person {
  std::string name;
  std::optional<std::string> title;
  std::vector<Point> been;
  std::variant<bool, std::string, std::map<std::string, int>> more;
};

void require(bool held) {
  if (!held) std::abort();
}

template <class T>
void expect(std::span<const std::byte> input, bool named) {
  std::vector<std::byte> bytes;
  if (named) {
    const auto& prefix = wire::kTypePrefix<T>;
    bytes.assign(prefix.begin(), prefix.end());
  }
  bytes.insert(bytes.end(), input.begin(), input.end());
  static_cast<void>(values_to_text(bytes));
  try {
    const auto first = encode_values(decode_value<T>(bytes));
    // What was read is sent and read again as the same. (Not `bytes` itself: what nobody looks at may differ.)
    require(encode_values(decode_value<T>(first)) == first);
    const auto adapted = wire::adapt_value(first, types_of<T>());
    require(std::ranges::equal(adapted, std::span(first).subspan(first.size() - adapted.size())));
  } catch (const ProtocolError&) {
  } catch (const TypeMismatch&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const bool named = (data[0] & 0x80) != 0;
  const auto input = std::as_bytes(std::span(data, size)).subspan(1);
  switch (data[0] & 7) {
    case 0: expect<int>(input, named); break;
    case 1: expect<std::tuple<std::int64_t, std::string>>(input, named); break;
    case 2: expect<std::vector<Person>>(input, named); break;
    case 3: expect<std::map<std::string, std::vector<std::vector<bool>>>>(input, named); break;
    case 4: expect<std::array<std::optional<std::pair<std::uint8_t, float>>, 3>>(input, named); break;
    case 5: expect<std::vector<std::tuple<>>>(input, named); break;
    case 6: expect<std::tuple<std::set<std::int64_t>, std::vector<std::byte>, Message<schema::Value>>>(input, named); break;
    default: expect<std::variant<std::int8_t, std::vector<std::int64_t>, std::chrono::milliseconds>>(input, named); break;
  }
  return 0;
}
