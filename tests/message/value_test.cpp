#include <troupe/value.h>

#include <capnp/any.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <random>

#include "message/test_values.capnp.h"
#include "message/value_text.h"
#include "message/value_types.h"
#include "message/values.h"
#include "support/catch.h"

using namespace troupe;
using namespace message_test;

namespace {

struct Mixed {
  std::uint8_t small;
  std::int64_t large;
  bool flag;
  float half;
  bool other;
  std::int16_t number;
  std::string name;
  std::vector<double> numbers;
  std::vector<bool> flags;
  std::vector<std::string> names;
  std::vector<Point> points;
  Point middle;
  std::vector<std::byte> blob;
  std::uint32_t last;
  bool operator==(const Mixed&) const = default;
};

// A message of encoded values as Cap'n Proto itself reads it.
class Read {
 public:
  explicit Read(std::span<const std::byte> bytes) : words_(message::split_value(bytes).message.size() / sizeof(capnp::word)) {
    std::memcpy(words_.data(), message::split_value(bytes).message.data(), words_.size() * sizeof(capnp::word));
  }
  template <class T>
  auto root() {
    return reader_.getRoot<T>();
  }
  [[nodiscard]] std::size_t words() const { return words_.size(); }

 private:
  std::vector<capnp::word> words_;
  kj::ArrayPtr<const capnp::word> segment_ = kj::arrayPtr(words_.data(), words_.size());
  capnp::SegmentArrayMessageReader reader_{kj::arrayPtr(&segment_, 1), detail::reader_options(words_.size())};
};

// All that must hold of any values.
template <class... T>
void check_travels(const T&... values) {
  const auto bytes = encode_values(values...);
  INFO(types_of<T...>() << " " << values_to_text(bytes));
  REQUIRE(decode_values<T...>(bytes) == std::tuple<T...>(values...));
  const auto parts = message::split_value(bytes);
  REQUIRE(parts.types == types_of<T...>());
  // Cap'n Proto finds all of it, and nothing besides.
  Read read(bytes);
  REQUIRE(read.root<capnp::AnyPointer>().targetSize().wordCount + 1 == read.words());
  // What is known of the types at run time is the same.
  const auto again = wire::adapt_value(bytes, parts.types);
  REQUIRE(std::ranges::equal(again, parts.message));
  REQUIRE(values_to_text(bytes, 1 << 20).find("[value: ") == std::string::npos);
  // In place, wherever that is.
  std::vector<std::byte> room(bytes.size() + 1, std::byte{0xff});
  encode_to(std::span(room).subspan(1), nullptr, values...);
  REQUIRE(std::ranges::equal(std::span(room).subspan(1), bytes));
  REQUIRE(decode_values<T...>(std::span(room).subspan(1)) == std::tuple<T...>(values...));
}

template <class... T>
void check_many(unsigned seed, int rounds = 100) {
  AnyValue any(seed);
  for (int round = 0; round < rounds; ++round)
    std::apply([](const auto&... value) { check_travels(value...); }, any.make<std::tuple<T...>>());
}

}  // namespace

TEST_CASE("values come back as they were sent") {
  check_travels();
  check_travels(3);
  check_many<bool, std::int8_t, std::uint64_t, double, float, char, Colour, std::int16_t, bool, std::byte, std::uint32_t,
             wchar_t>(1);
  check_many<std::int64_t>(2);
  check_many<std::string, std::filesystem::path>(3);
  check_many<std::vector<std::byte>, std::vector<double>, std::vector<std::string>, std::vector<bool>, std::vector<Colour>,
             std::vector<char>>(4);
  check_many<std::optional<int>, std::optional<bool>, std::optional<std::string>, std::optional<Point>,
             std::optional<std::optional<int>>>(5);
  check_many<std::pair<int, std::string>, std::tuple<std::tuple<std::tuple<int>>>, std::tuple<>, std::pair<Point, Point>>(6);
  check_many<std::map<std::string, std::vector<int>>, std::unordered_map<int, std::map<int, bool>>, std::set<std::string>,
             std::unordered_set<int>, std::set<std::pair<int, int>>>(7);
  check_many<std::array<int, 3>, std::array<std::string, 2>, std::array<bool, 9>, std::array<Point, 2>, std::array<double, 0>>(
      8);
  check_many<std::variant<int, std::string, Point>, std::variant<std::monostate, bool>, std::variant<bool, double>,
             std::variant<std::string, std::vector<int>>, std::vector<std::variant<int, std::string>>>(9);
  check_many<std::chrono::milliseconds, std::chrono::nanoseconds, std::chrono::duration<double>, std::chrono::hours,
             std::chrono::sys_time<std::chrono::milliseconds>>(10);
  check_many<Point, Person, Nothing, std::vector<Person>, std::vector<Nothing>, Fraction, std::vector<Fraction>, Address>(11);
  check_many<std::deque<std::deque<int>>, std::list<std::string>, std::vector<std::vector<std::vector<bool>>>>(12);
  check_many<Hard>(13, 300);
  check_many<std::vector<Hard>>(14, 30);
}

TEST_CASE("a struct is the same as a Cap'n Proto struct with the same fields") {
  const Mixed mixed{200,
                    -5,
                    true,
                    1.5f,
                    true,
                    -7,
                    "mixed",
                    {1, 2.5},
                    {true, false, true},
                    {"a", "", "bc"},
                    {{1, 2}, {3, 4}},
                    {5, 6},
                    {std::byte{9}},
                    77};
  check_travels(mixed);
  Read read(encode_values(mixed));
  const auto same = read.root<test::Mixed>();
  CHECK(same.getSmall() == 200);
  CHECK(same.getLarge() == -5);
  CHECK(same.getFlag());
  CHECK(same.getHalf() == 1.5f);
  CHECK(same.getOther());
  CHECK(same.getShort() == -7);
  CHECK(same.getName() == "mixed");
  CHECK(same.getNumbers()[1] == 2.5);
  CHECK((same.getFlags()[0] && !same.getFlags()[1] && same.getFlags()[2] && same.getFlags().size() == 3));
  CHECK((same.getNames()[0] == "a" && same.getNames()[1] == "" && same.getNames()[2] == "bc"));
  CHECK((same.getPoints()[1].getX() == 3 && same.getPoints()[1].getY() == 4));
  CHECK(same.getMiddle().getY() == 6);
  CHECK(same.getBlob()[0] == 9);
  CHECK(same.getLast() == 77);

  // And the other way round: what Cap'n Proto builds in this order is ours, byte by byte.
  capnp::MallocMessageBuilder builder;
  builder.setRoot(same);
  const auto segments = builder.getSegmentsForOutput();
  REQUIRE(segments.size() == 1);
  CHECK(wire::Body<Mixed>::read(std::as_bytes(std::span(segments[0].begin(), segments[0].size())), nullptr) == mixed);
}

TEST_CASE("views and literals arrive as what they look at") {
  const std::vector<int> numbers{1, 2, 3};
  const auto bytes = encode_values("literal", std::string_view("view"), std::span<const int>(numbers),
                                   std::vector<std::string_view>{"a", "b"});
  const auto [literal, view, span, views] =
      decode_values<std::string, std::string, std::vector<int>, std::vector<std::string>>(bytes);
  CHECK(literal == "literal");
  CHECK(view == "view");
  CHECK(span == numbers);
  CHECK(views == std::vector<std::string>{"a", "b"});
}

TEST_CASE("messages travel among other values") {
  const Message<test::Mixed> message([](test::Mixed::Builder mixed) { mixed.setName("inside"); });
  const auto bytes = encode_values(1, message, std::vector{message, message});
  const auto [one, back, more] = decode_values<int, Message<test::Mixed>, std::vector<Message<test::Mixed>>>(bytes);
  CHECK(back->getName() == "inside");
  CHECK(more[1]->getName() == "inside");

  std::mt19937 random(5);
  for (int round = 0; round < 2000; ++round) {
    auto bad = bytes;
    for (int flips = 0; flips < 3; ++flips)
      bad[random() % bad.size()] ^= std::byte{static_cast<unsigned char>(1u << random() % 8)};
    try {
      const auto read = decode_values<int, Message<test::Mixed>, std::vector<Message<test::Mixed>>>(bad);
      const auto is_mixed = [&] { static_cast<void>(kj::str(*std::get<1>(read))); };
      // It may be a message of another shape, but it is one, and nobody is led out of it.
      static_cast<void>(kj::runCatchingExceptions(is_mixed));
    } catch (const ProtocolError&) {
    } catch (const TypeMismatch&) {
    }
  }
}

TEST_CASE("values are a field of messages") {
  capnp::MallocMessageBuilder builder;
  const auto field = builder.initRoot<schema::Value>();
  write_values(field, 3, std::string("x"));
  CHECK(read_values<int, std::string>(field.asReader()) == std::tuple(3, std::string("x")));

  capnp::MallocMessageBuilder around;
  auto root = around.initRoot<test::Holder>();
  write_values(root.initValue(), 3, "x");
  auto more = root.getMore().initValues(2);
  write_values(more[0], 1.5);
  CHECK(message::dynamic_text(root.asReader()) ==
        R"((id = 0, value = (3, "x"), more = (values = [1.5, [value: it ends before the name of its types]])))");
  root.getMore().setPlain(7);
  CHECK(message::dynamic_text(root.asReader()) == R"((id = 0, value = (3, "x"), more = (plain = 7)))");
}

TEST_CASE("handles travel beside the bytes") {
  const std::tuple sent(Ticket<int>(70), std::vector{Ticket<int>(80), Ticket<int>(90)});
  Attachments attachments;
  std::vector<std::byte> bytes(encoded_size(sent));
  encode_to(bytes, &attachments, sent);
  CHECK(attachments.handles == std::vector<std::uint64_t>{70, 80, 90});
  const auto [first, others] = decode_value<std::tuple<Ticket<int>, std::vector<Ticket<int>>>>(bytes, &attachments);
  CHECK(first.id == 70);
  CHECK(others[1].id == 90);
  CHECK_THROWS_AS(encode_values(Ticket<int>(1)), std::logic_error);
  CHECK_THROWS_AS((decode_value<std::tuple<Ticket<int>, std::vector<Ticket<int>>>>(bytes)), std::logic_error);
  CHECK(types_of<Ticket<std::vector<int>>>() == "ticket<vector<int>, uint>");
  CHECK(values_to_text(bytes) == "(ticket(0), [ticket(1), ticket(2)])");
  CHECK(std::ranges::equal(wire::adapt_value(bytes, types_of<decltype(sent)>()), message::split_value(bytes).message));
  // A handle of another type is never taken for it, not even where its items would be.
  CHECK_THROWS_WITH(
      (decode_value<std::tuple<Ticket<std::int64_t>, std::vector<Ticket<int>>>>(bytes)),
      "expected (ticket<int64>, vector<ticket<int>>), got (ticket<int>, vector<ticket<int>>)");
  attachments.handles.clear();
  CHECK_THROWS_AS((decode_value<std::tuple<Ticket<int>, std::vector<Ticket<int>>>>(bytes, &attachments)), ProtocolError);
}

TEST_CASE("floating-point numbers that keep their size keep their bits, also where they are no numbers") {
  const std::pair sent(std::bit_cast<float>(0xffbffd00u), std::bit_cast<double>(0x7ff4000000000001u));  // signalling
  const auto bytes = encode_values(sent);
  CHECK(std::ranges::equal(wire::adapt_value(bytes, types_of<decltype(sent)>()), message::split_value(bytes).message));
}

TEST_CASE("what cannot be sent does not compile") {
  struct Pointer {
    int* p;
  };
  struct Base {
    virtual ~Base() = default;
  };
  STATIC_REQUIRE(Sendable<int>);
  STATIC_REQUIRE(Sendable<std::vector<std::map<std::string, Person>>>);
  STATIC_REQUIRE(Encodable<std::string_view>);
  STATIC_REQUIRE_FALSE(Sendable<std::string_view>);
  STATIC_REQUIRE_FALSE(Sendable<std::vector<std::string_view>>);
  STATIC_REQUIRE_FALSE(Encodable<int*>);
  STATIC_REQUIRE_FALSE(Encodable<const char*>);
  STATIC_REQUIRE_FALSE(Encodable<void (*)()>);
  STATIC_REQUIRE_FALSE(Encodable<std::vector<int*>>);
  STATIC_REQUIRE_FALSE(Encodable<std::unique_ptr<int>>);
  STATIC_REQUIRE_FALSE(Encodable<std::optional<void*>>);
  STATIC_REQUIRE_FALSE(Encodable<Pointer>);
  STATIC_REQUIRE_FALSE(Encodable<Base>);
  const auto closure = [] {};
  STATIC_REQUIRE_FALSE(Encodable<decltype(closure)>);
}
