#include "sync/value.h"

#include <cmath>
#include <mutex>
#include <new>

#include "support/catch.h"
#include "sync/memory.h"

using namespace troupe::sync;
using troupe::shared::kRootSlot;
using troupe::test::memory_of;
using troupe::test::SharedMemory;

namespace {

struct Point {
  double x = 0;
  double y = 0;
};

}  // namespace

TEST_CASE("a Value is read and changed by all users") {
  SharedMemory memory(Value<int>::memory_size(4));
  Value<int>::format(memory, 4, 7);
  Value<int> mine(memory, 0);
  Value<int> other(memory, 1);
  CHECK(mine.get() == 7);
  {
    const std::scoped_lock hold(mine.get_lock());
    mine.value() += 1;
    mine.set(mine.get() + 1);  // the lock is recursive
    CHECK_FALSE(other.get_lock().acquire(false));
  }
  CHECK(other.get() == 9);
}

TEST_CASE("an Array knows its size") {
  const auto memory = memory_of<Array<double>>(4U, 10U);
  Array<double> squares(memory, 0);
  CHECK(squares.size() == 10);
  for (std::size_t i = 0; i < squares.size(); ++i) squares[i] = static_cast<double>(i * i);
  Array<double> other(memory, 1);
  CHECK(other.at(9) == 81);
  CHECK_THROWS_AS(other.at(10), std::out_of_range);
  CHECK_THROWS_AS(other[10], std::out_of_range);
  CHECK_THROWS_AS(other.get(10), std::out_of_range);
  CHECK_THROWS_AS(other.set(10, 0), std::out_of_range);
  CHECK_FALSE(other.get_lock().locked());
  double sum = 0;
  for (const double square : other) sum += square;
  CHECK(sum == 285);
}

TEST_CASE("raw values and arrays have no lock, and elements of any trivial type") {
  const auto memory = memory_of<RawArray<Point>>(3U);
  RawArray<Point> points(memory);
  points.at(2) = {1, 2};
  CHECK(RawArray<Point>(memory)[2].y == 2);
  CHECK_THROWS_AS(points.at(3), std::out_of_range);
  const auto one = memory_of<RawValue<long>>();
  RawValue<long>(one).value() = 5;
  CHECK(RawValue<long>(one).value() == 5);
}

TEST_CASE("users who disagree about the type of a value are told") {
  const auto memory = memory_of<Array<int>>(4U, 10U);
  CHECK_THROWS_AS(Array<unsigned>(memory, 0), troupe::ProtocolError);
  CHECK_THROWS_AS(Array<float>(memory, 0), troupe::ProtocolError);
  CHECK_THROWS_AS(Array<long>(memory, 0), troupe::ProtocolError);
  CHECK_THROWS_AS(RawArray<int>(memory), troupe::ProtocolError);
  CHECK_NOTHROW(Value<int>(memory, 0));
}

TEST_CASE("an empty array is no value") {
  const auto memory = memory_of<Array<int>>(4U, 0U);
  CHECK(Array<int>(memory, 0).size() == 0);
  CHECK_THROWS_AS(Value<int>(memory, 0), std::out_of_range);
}
