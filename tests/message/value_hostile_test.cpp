// Bytes that nobody has written.
#include <troupe/value.h>

#include <random>

#include "message/value_text.h"
#include "message/values.h"
#include "support/catch.h"

using namespace troupe;
using namespace message_test;

namespace {

// Bytes that nobody has written are refused, or they are other values.
void check_hostile(std::span<const std::byte> bytes) {
  static_cast<void>(values_to_text(bytes));
  try {
    const Hard values = decode_value<Hard>(bytes);
    static_cast<void>(encode_values(values));
  } catch (const ProtocolError&) {
  } catch (const TypeMismatch&) {
  }
}

}  // namespace

TEST_CASE("hostile bytes are refused") {
  AnyValue any(7);
  std::mt19937 random(8);
  SECTION("flipped bits") {
    for (int round = 0; round < 300; ++round) {
      const auto good = encode_values(any.make<Hard>());
      for (int spoiled = 0; spoiled < 60; ++spoiled) {
        auto bad = good;
        for (int flips = 0; flips < 1 + spoiled % 3; ++flips)
          bad[random() % bad.size()] ^= std::byte{static_cast<unsigned char>(1u << random() % 8)};
        check_hostile(bad);
      }
    }
  }
  SECTION("missing ends") {
    const auto good = encode_values(any.make<Hard>());
    for (std::size_t size = 0; size < good.size(); ++size) {
      const auto part = std::span(good).first(size);
      CHECK_THROWS_AS(decode_value<Hard>(part), ProtocolError);
      static_cast<void>(values_to_text(part));
    }
    auto longer = good;
    longer.resize(longer.size() + 8);
    CHECK_THROWS_AS(decode_value<Hard>(longer), ProtocolError);
  }
  SECTION("a list that claims to be long costs nothing") {
    auto bytes = encode_values(std::vector<Nothing>(3));
    std::byte* tag = bytes.data() + bytes.size() - 4 * wire::kWord;
    wire::store(tag - wire::kWord, wire::list_pointer(0, wire::Element::structure, wire::kWireMax));
    CHECK_THROWS_AS(decode_value<std::vector<Nothing>>(bytes), ProtocolError);
    wire::store(tag, wire::struct_pointer(wire::kWireMax, {1, 0}));
    CHECK_THROWS_AS(decode_value<std::vector<Nothing>>(bytes), ProtocolError);
    wire::store(tag, wire::struct_pointer(wire::kWireMax, {0, 0}));
    CHECK_THROWS_AS(decode_value<std::vector<Nothing>>(bytes), ProtocolError);
    CHECK(values_to_text(bytes).starts_with("[value: "));
  }
  SECTION("types nested without end") {
    std::string types;
    for (int i = 0; i < 9000; ++i) types += "vector<";
    std::vector<std::byte> bytes(64000);
    wire::store(bytes.data(), static_cast<std::uint16_t>(types.size()));
    std::memcpy(bytes.data() + 2, types.data(), types.size());
    CHECK_THROWS_AS(decode_value<Hard>(bytes), ProtocolError);
    CHECK(values_to_text(bytes) == "[value: its types are nested too deep]");
  }
  SECTION("a set with an element twice") {
    auto bytes = encode_values(std::set<int>{1, 2});
    wire::store(bytes.data() + bytes.size() - 4, 1);
    CHECK_THROWS_AS(decode_value<std::set<int>>(bytes), ProtocolError);
  }
}

TEST_CASE("a codec may refuse what it is given") {
  CHECK_THROWS_AS(decode_value<Fraction>([] {
                    auto bytes = encode_values(Fraction(1, 2));
                    bytes[bytes.size() - 4] = std::byte{0};
                    return bytes;
                  }()),
                  ProtocolError);
}
