// Bytes that claim to be values. The first byte picks the types that are expected; with its highest bit set their name is put
// in front, so that the fuzzer need not find it. Values that are right are strewn in, to be spoiled.
#include <troupe/errors.h>
#include <troupe/value.h>

#include <algorithm>
#include <cstdlib>
#include <random>

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

using Types = std::tuple<int, std::tuple<std::int64_t, std::string>, std::vector<Person>,
                         std::map<std::string, std::vector<std::vector<bool>>>,
                         std::array<std::optional<std::pair<std::uint8_t, float>>, 3>, std::vector<std::tuple<>>,
                         std::tuple<std::set<std::int64_t>, std::vector<std::byte>, Message<schema::Value>>,
                         std::variant<std::int8_t, std::vector<std::int64_t>, std::chrono::milliseconds>>;
constexpr std::size_t kTypes = std::tuple_size_v<Types>;
constexpr std::uint8_t kNamed = 0x80;

const Types kRight = {3,
                      {-4, "a string of two words"},
                      {{"Ann", "Dr", {{1, 2}, {3, 4}}, true},
                       {"Bo", std::nullopt, {}, "more"},
                       {"", "", {{5, 6}}, std::map<std::string, int>{{"a", 1}, {"b", 2}}}},
                      {{"a", {{true, false}, {}}}, {"b", {}}},
                      {std::pair<std::uint8_t, float>(1, 2), std::nullopt, std::pair<std::uint8_t, float>(3, 4)},
                      std::vector<std::tuple<>>(3),
                      {{1, 2, 3}, std::vector<std::byte>(11), Message<schema::Value>([](schema::Value::Builder value) {
                         write_values(value, 1, "two");
                       })},
                      std::vector<std::int64_t>{1, 2, 3}};

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

template <std::size_t... I>
void expect(std::size_t which, std::span<const std::byte> input, bool named, std::index_sequence<I...>) {
  static_cast<void>(((which == I ? (expect<std::tuple_element_t<I, Types>>(input, named), true) : false) || ...));
}
template <std::size_t... I>
std::vector<std::byte> right(std::size_t which, std::index_sequence<I...>) {
  std::vector<std::byte> bytes;
  static_cast<void>(((which == I ? (bytes = encode_values(std::get<I>(kRight)), true) : false) || ...));
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  expect(data[0] % kTypes, std::as_bytes(std::span(data, size)).subspan(1), (data[0] & kNamed) != 0,
         std::make_index_sequence<kTypes>());
  return 0;
}

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t size_max);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max, unsigned seed) {
  std::minstd_rand random(seed);
  if (random() % 16 == 0) {
    const std::size_t which = random() % kTypes;
    const auto bytes = right(which, std::make_index_sequence<kTypes>());
    if (bytes.size() + 1 <= size_max) {
      data[0] = static_cast<std::uint8_t>(which);
      std::memcpy(data + 1, bytes.data(), bytes.size());
      size = bytes.size() + 1;
    }
  }
  return LLVMFuzzerMutate(data, size, size_max);
}
