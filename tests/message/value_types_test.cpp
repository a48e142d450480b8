#include "message/value_types.h"

#include <algorithm>

#include "message/test_values.capnp.h"
#include "message/values.h"
#include "support/catch.h"

using namespace troupe;
using namespace message_test;

TEST_CASE("types name themselves") {
  CHECK(types_of<>() == "()");
  CHECK(types_of<int, std::string>() == "(int, string)");
  CHECK(types_of<std::tuple<int, std::string>>() == "(int, string)");
  CHECK(types_of<std::vector<Point>, Colour>() == "(vector<(int, double)>, uint8)");
  CHECK(types_of<Person>() == "(name: string, age: int)");
  CHECK(types_of<std::chrono::milliseconds>() == "duration<int64, 1/1000>");
  CHECK(types_of<Address>() == "address<(uint64, uint, uint)>");
  CHECK(types_of<std::array<std::optional<char>, 12>>() == "array<optional<char>, 12>");
  CHECK(types_of<std::map<std::string, std::set<bool>>>() == "map<string, set<bool>>");
  CHECK(types_of<std::variant<std::monostate, std::vector<std::byte>>>() == "variant<(), bytes>");
}

TEST_CASE("a message names its struct, and is told from others by its number") {
  CHECK(types_of<Message<test::Point>>() == "message<Point " + std::to_string(capnp::typeId<test::Point>()) + ">");
  const auto point = encode_values(Message<test::Point>());
  CHECK_THROWS_WITH((decode_value<Message<test::Holder>>(point)), "expected message<Holder>, got message<Point>");
  CHECK_THROWS_WITH((decode_value<Message<schema::Value>>(point)), "expected message<Value>, got message<Point>");
  std::vector<std::byte> renamed = point;
  renamed[2 + std::string_view("message<").size()] = std::byte{'p'};
  CHECK_NOTHROW(decode_value<Message<test::Point>>(renamed));
}

TEST_CASE("people are not told how a type travels") {
  const auto shown = [](std::string_view types) { return message::types_for_people(types); };
  CHECK(shown("(int, string)") == "(int, string)");
  CHECK(shown("(name: string, ages: map<string, array<int, 3>>)") == "(name: string, ages: map<string, array<int, 3>>)");
  CHECK(shown("lock<uint64>") == "lock");
  CHECK(shown("joinable queue<(lock<uint64>, shared value<(int, double), uint64>), uint64>") ==
        "joinable queue<(lock, shared value<(int, double)>)>");
  CHECK(shown("barrier<(uint64, int64, array<uint64, 8>)>") == "barrier");
  CHECK(shown("vector<message<Point 123>>") == "vector<message<Point>>");
  CHECK(shown("duration<int64, 1/1000>") == "duration<int64, 1/1000>");
  CHECK(shown("a value") == "a value");
  CHECK(shown("map<int") == "map<int>");
  CHECK(shown("<>><") == "<>><");
}

TEST_CASE("a Codec's name may be several words, but only words") {
  CHECK(message::parse_types("(two words<int>, three more words<int, uint64>)").what == message::ValueType::What::tuple);
  CHECK_THROWS_AS(message::parse_types("two  words<int>"), ProtocolError);
  CHECK_THROWS_AS(message::parse_types(" word<int>"), ProtocolError);
  CHECK_THROWS_AS(message::parse_types("word <int>"), ProtocolError);
  CHECK(wire::is_type_name("two words"));
  CHECK_FALSE(wire::is_type_name("two  words"));
  CHECK_FALSE(wire::is_type_name("list<int>"));
  CHECK_FALSE(wire::is_type_name(""));
}

TEST_CASE("who expects other types is told both") {
  const auto text = encode_values(std::string("x"));
  CHECK_THROWS_WITH((decode_values<int, std::string>(text)), "expected (int, string), got string");
  CHECK_THROWS_AS((decode_value<std::vector<int>>(text)), TypeMismatch);
  CHECK_THROWS_WITH((decode_value<Person>(encode_values(std::tuple(1, 2)))),
                    "expected (name: string, age: int), got (int, int)");
  CHECK_THROWS_AS(decode_value<std::chrono::seconds>(encode_values(std::chrono::milliseconds(1))), TypeMismatch);
  CHECK_THROWS_AS((decode_value<std::array<int, 2>>(encode_values(std::array<int, 3>()))), TypeMismatch);
  CHECK_THROWS_AS((decode_value<int>(encode_values(1.5))), TypeMismatch);
  CHECK_THROWS_AS((decode_value<float>(encode_values(1.5))), TypeMismatch);
  CHECK_THROWS_AS((decode_value<int>(encode_values(true))), TypeMismatch);
}

TEST_CASE("numbers of another size are read if they fit") {
  CHECK(decode_value<std::int64_t>(encode_values(-3)) == -3);
  CHECK(decode_value<std::int8_t>(encode_values(std::int64_t{-128})) == -128);
  CHECK(decode_value<std::uint8_t>(encode_values(255)) == 255);
  CHECK(decode_value<double>(encode_values(1.5f)) == 1.5);
  CHECK_THROWS_WITH(decode_value<std::int8_t>(encode_values(128)), "value: 128 does not fit");
  CHECK_THROWS_WITH(decode_value<std::uint64_t>(encode_values(-1)), "value: -1 does not fit");
  CHECK_THROWS_AS(decode_value<std::int64_t>(encode_values(~std::uint64_t{0})), ProtocolError);
  CHECK_THROWS_AS(decode_value<std::uint8_t>(encode_values(std::int8_t{-1})), ProtocolError);
  CHECK(decode_value<Person>(encode_values(std::tuple(std::string("Ann"), std::int64_t{44}))) == Person("Ann", 44));

  using From = std::tuple<std::vector<std::int8_t>, std::map<std::int8_t, std::string>, std::optional<std::int16_t>,
                          std::array<std::int8_t, 9>, std::variant<bool, std::int8_t>, std::pair<std::int8_t, bool>,
                          std::vector<std::pair<bool, std::int8_t>>, Fraction>;
  using To = std::tuple<std::vector<std::int64_t>, std::map<std::int64_t, std::string>, std::optional<std::int64_t>,
                        std::array<std::int64_t, 9>, std::variant<bool, std::int64_t>, std::pair<std::int64_t, bool>,
                        std::vector<std::pair<bool, std::int64_t>>, Fraction>;
  AnyValue any(3);
  for (int round = 0; round < 200; ++round) {
    const auto from = any.make<From>();
    const auto to = decode_value<To>(encode_values(from));
    CHECK(decode_value<From>(encode_values(to)) == from);
    CHECK(std::ranges::equal(std::get<0>(to), std::get<0>(from)));
    CHECK(std::ranges::equal(std::get<3>(to), std::get<3>(from)));
    CHECK(std::get<5>(to).first == std::get<5>(from).first);
  }
}
