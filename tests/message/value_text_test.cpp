#include "message/value_text.h"

#include "message/test_values.capnp.h"
#include "message/values.h"
#include "support/catch.h"

using namespace troupe;
using namespace message_test;

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
