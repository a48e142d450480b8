#include <troupe/value.h>

#include <troupe/errors.h>

#include <capnp/any.h>

#include <limits>
#include <random>

#include "message/test_messages.capnp.h"
#include "message/test_values.capnp.h"
#include "message/value_text.h"
#include "message/value_types.h"
#include "support/catch.h"

using namespace troupe;

namespace {

enum class Colour : std::uint8_t { red, green };

struct Point {
  int x = 0;
  double y = 0;
  bool operator==(const Point&) const = default;
};

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

class Person {
 public:
  Person() = default;
  Person(std::string name, int age) : name_(std::move(name)), age_(age) {}
  static auto fields(auto& self) { return std::tie(self.name_, self.age_); }
  static constexpr std::array field_names{"name", "age"};
  bool operator==(const Person&) const = default;

 private:
  std::string name_;
  int age_ = 0;
};

struct Nothing {
  bool operator==(const Nothing&) const = default;
};

class Fraction {
 public:
  Fraction(int a, int b) : a_(a), b_(b) {
    if (b == 0) throw ProtocolError("a fraction of nothing");
  }
  [[nodiscard]] int a() const { return a_; }
  [[nodiscard]] int b() const { return b_; }
  bool operator==(const Fraction&) const = default;

 private:
  int a_, b_;
};

// As a handle will be.
template <class T>
struct Ticket {
  std::uint64_t id = 0;
  Ticket() = default;
  explicit Ticket(std::uint64_t number) : id(number) {}
};

}  // namespace

template <>
struct troupe::Codec<Fraction> {
  static constexpr std::string_view name = "fraction";
  using Wire = std::tuple<int, int>;
  static Wire pack(const Fraction& f) { return {f.a(), f.b()}; }
  static Fraction unpack(Wire wire) { return std::make_from_tuple<Fraction>(wire); }
};

template <class T>
struct troupe::Codec<Ticket<T>> {
  static constexpr std::string_view name = "ticket";
  using Of = T;
  using Wire = std::uint32_t;
  static Wire pack(const Ticket<T>& ticket, Attachments& attachments) {
    attachments.handles.push_back(ticket.id);
    return static_cast<Wire>(attachments.handles.size() - 1);
  }
  static Ticket<T> unpack(Wire place, const Attachments& attachments) {
    if (place >= attachments.handles.size()) throw ProtocolError("no such attachment");
    return Ticket<T>(attachments.handles[place]);
  }
};

namespace {

// Values of any type, mostly small, often at an end of their range.
class Any {
 public:
  explicit Any(unsigned seed) : random_(seed) {}

  template <class T>
  T make() {
    return make(std::type_identity<T>());
  }

 private:
  std::size_t count() { return random_() % 4 == 0 ? 0 : random_() % 6; }

  template <class T>
  requires std::is_integral_v<T> T make(std::type_identity<T>) {
    switch (random_() % 4) {
      case 0: return std::numeric_limits<T>::min();
      case 1: return std::numeric_limits<T>::max();
      default: return static_cast<T>(random_());
    }
  }
  template <class T>
  requires std::is_floating_point_v<T> T make(std::type_identity<T>) {
    return random_() % 4 == 0 ? -std::numeric_limits<T>::infinity() : static_cast<T>(static_cast<std::int64_t>(random_())) / 7;
  }
  Colour make(std::type_identity<Colour>) { return static_cast<Colour>(random_() % 2); }
  std::byte make(std::type_identity<std::byte>) { return static_cast<std::byte>(random_()); }
  std::string make(std::type_identity<std::string>) {
    std::string text(count() * 3, 'x');
    for (char& c : text) c = static_cast<char>(random_());
    return text;
  }
  std::filesystem::path make(std::type_identity<std::filesystem::path>) { return make<std::string>(); }
  Point make(std::type_identity<Point>) { return {make<int>(), make<double>()}; }
  Person make(std::type_identity<Person>) { return {make<std::string>(), make<int>()}; }
  Nothing make(std::type_identity<Nothing>) { return {}; }
  std::monostate make(std::type_identity<std::monostate>) { return {}; }
  Fraction make(std::type_identity<Fraction>) { return {make<int>(), 7}; }
  Address make(std::type_identity<Address>) { return {random_(), make<std::uint32_t>(), make<std::uint32_t>()}; }
  template <class R, class P>
  auto make(std::type_identity<std::chrono::duration<R, P>>) {
    return std::chrono::duration<R, P>(make<R>());
  }
  template <class D>
  auto make(std::type_identity<std::chrono::time_point<std::chrono::system_clock, D>>) {
    return std::chrono::time_point<std::chrono::system_clock, D>(make<D>());
  }
  template <class C>
  requires requires(C c) { c.insert(c.end(), *c.begin()); }
  C make(std::type_identity<C>) {
    C made;
    for (std::size_t i = count(); i > 0; --i) {
      if constexpr (requires { typename C::mapped_type; })
        made.insert({make<typename C::key_type>(), make<typename C::mapped_type>()});
      else made.insert(made.end(), make<typename C::value_type>());
    }
    return made;
  }
  template <class T, std::size_t N>
  auto make(std::type_identity<std::array<T, N>>) {
    std::array<T, N> made;
    for (T& value : made) value = make<T>();
    return made;
  }
  template <class T>
  auto make(std::type_identity<std::optional<T>>) {
    return random_() % 2 ? std::optional<T>(make<T>()) : std::nullopt;
  }
  template <class A, class B>
  auto make(std::type_identity<std::pair<A, B>>) {
    return std::pair<A, B>{make<A>(), make<B>()};
  }
  template <class... T>
  auto make(std::type_identity<std::tuple<T...>>) {
    return std::tuple<T...>{make<T>()...};
  }
  template <class... T>
  auto make(std::type_identity<std::variant<T...>>) {
    std::variant<T...> made;
    const auto which = random_() % sizeof...(T);
    std::size_t i = 0;
    ((i++ == which ? void(made = make<T>()) : void()), ...);
    return made;
  }

  std::mt19937_64 random_;
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
  Any any(seed);
  for (int round = 0; round < rounds; ++round)
    std::apply([](const auto&... value) { check_travels(value...); }, any.make<std::tuple<T...>>());
}

using Hard =
    std::tuple<std::map<std::string, std::vector<Person>>, std::vector<std::optional<Point>>,
               std::variant<int, std::string, Point>, std::vector<bool>, std::array<std::int16_t, 3>, std::vector<std::byte>,
               std::set<int>, Fraction, std::vector<std::vector<std::string>>, std::chrono::milliseconds>;

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
  Any any(3);
  for (int round = 0; round < 200; ++round) {
    const auto from = any.make<From>();
    const auto to = decode_value<To>(encode_values(from));
    CHECK(decode_value<From>(encode_values(to)) == from);
    CHECK(std::ranges::equal(std::get<0>(to), std::get<0>(from)));
    CHECK(std::ranges::equal(std::get<3>(to), std::get<3>(from)));
    CHECK(std::get<5>(to).first == std::get<5>(from).first);
  }
}

TEST_CASE("values can be shown as text") {
  const auto text = [](const auto&... values) { return values_to_text(encode_values(values...)); };
  CHECK(text() == "()");
  CHECK(text(3, "app\"les\n", 2.5, true, 'c') == R"((3, "app\"les\n", 2.5, true, 'c'))");
  CHECK(text(-1) == "-1");
  CHECK(text(Person("Ann", 44)) == R"((name = "Ann", age = 44))");
  CHECK(text(std::vector<int>{1, 2}) == "[1, 2]");
  CHECK(text(std::map<std::string, bool>{{"a", true}, {"b", false}}) == R"({"a": true, "b": false})");
  CHECK(text(std::set<int>{2, 1}, std::optional<int>(), std::optional<Point>({1, 2})) == "({1, 2}, none, (1, 2))");
  CHECK(text(std::variant<int, std::string>("x")) == R"("x")");
  CHECK(text(std::chrono::milliseconds(1500), std::chrono::duration<int, std::ratio<1, 24>>(5)) == "(1500ms, 5*1/24s)");
  CHECK(text(Address(1, 2, 3), Fraction(1, 2)) == "(address(1, 2, 3), fraction(1, 2))");
  CHECK(text(std::vector<std::byte>{std::byte{1}, std::byte{0xab}}) == "bytes(2) 01ab");
  CHECK(values_to_text(encode_values(std::string(100, 'x')), 10) == "\"xxxxxxxxx…");
  CHECK(values_to_text({}) == "[value: it ends before the name of its types]");

  const Message<test::Point> point([](test::Point::Builder to) { to.setX(3); });
  CHECK(text(point).starts_with("@0x"));
  CHECK(message::value_text(encode_values(1, point), 100, [](std::uint64_t id) -> std::optional<capnp::StructSchema> {
          CHECK(id == capnp::typeId<test::Point>());
          return capnp::Schema::from<test::Point>();
        }) == "(1, Point (x = 3, y = 0))");
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

TEST_CASE("a codec may refuse what it is given") {
  CHECK_THROWS_AS(decode_value<Fraction>([] {
                    auto bytes = encode_values(Fraction(1, 2));
                    bytes[bytes.size() - 4] = std::byte{0};
                    return bytes;
                  }()),
                  ProtocolError);
}

TEST_CASE("hostile bytes are refused") {
  Any any(7);
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
