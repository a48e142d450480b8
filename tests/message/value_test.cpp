#include <troupe/value.h>

#include <troupe/errors.h>

#include "support/catch.h"

using namespace troupe;

namespace {

enum class Colour : std::uint8_t { red, green };
struct Point {
  int x = 0;
  double y = 0;
  bool operator==(const Point&) const = default;
};
struct Line {
  Point from;
  std::string name;
  Colour colour = Colour::red;
  std::vector<Point> more;
  bool operator==(const Line&) const = default;
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

template <class... T>
void check_round_trip(const T&... values) {
  const auto bytes = encode_values(values...);
  CHECK(decode_values<T...>(bytes) == std::tuple<T...>(values...));
}

}  // namespace

TEST_CASE("values come back as they were sent") {
  check_round_trip();
  check_round_trip(true);
  check_round_trip(3);
  check_round_trip(3, std::string("apples"));
  check_round_trip(true, std::int8_t{-1}, std::uint64_t{5}, 2.5, 1.5f, 'c', Colour::green, std::int16_t{-7}, false, std::byte{9});
  check_round_trip(std::vector<std::byte>(64, std::byte{7}));
  check_round_trip(std::vector<double>{1, 2, 3}, std::vector<std::string>{"a", "", "bc"}, std::vector<bool>{true, false, true});
  check_round_trip(std::optional<int>(), std::optional<int>(0), std::optional<std::string>(""), std::optional<Point>(Point{1, 2}));
  check_round_trip(std::pair(1, std::string("x")), std::tuple(1, std::tuple(2, 3.5)), std::tuple(std::tuple(1)));
  check_round_trip(std::map<std::string, std::vector<int>>{{"a", {1, 2}}, {"b", {}}}, std::unordered_map<int, int>{{1, 2}, {3, 4}});
  check_round_trip(std::set<std::string>{"x", "y"}, std::unordered_set<int>{1, 2}, std::array<int, 3>{1, 2, 3}, std::array<std::string, 2>{"a", "b"});
  check_round_trip(std::variant<int, std::string, Point>(std::string("s")), std::variant<int, std::string, Point>(Point{1, 2}),
                   std::variant<std::monostate, bool>(true), std::variant<std::monostate, bool>());
  check_round_trip(std::chrono::milliseconds(1500), std::chrono::duration<double>(0.1), std::filesystem::path("/a/b"));
  check_round_trip(Point{1, 2}, Line{{1, 2}, "l", Colour::green, {{3, 4}, {5, 6}}}, Person("Ann", 44), std::vector{Person("Bo", 1)});
  check_round_trip(Address(1, 2, 3));
  check_round_trip(std::deque<std::deque<int>>{{1}, {}, {2, 3}}, std::list<std::string>{"a"});
}

TEST_CASE("types name themselves") {
  CHECK(types_of<int, std::string>() == "(int, string)");
  CHECK(types_of<Line>() == "((int, double), string, uint8, vector<(int, double)>)");
  CHECK(types_of<Person>() == "(name: string, age: int)");
  CHECK(types_of<std::chrono::milliseconds>() == "duration<int64, 1/1000>");
  CHECK(types_of<Address>() == "address<(uint64, uint, uint)>");
  CHECK_THROWS_WITH((decode_values<int, std::string>(encode_values(std::string("x")))), "expected (int, string), got string");
}
