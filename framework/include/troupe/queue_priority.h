#pragma once

#include <bit>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>
#include <tuple>
#include <type_traits>

namespace troupe {

// What a PriorityQueue goes by unless it is told otherwise: a number is its own priority, and so is a point in time; a pair or tuple
// goes by its first element, anything else by its member `priority`. Lower ones come first, as in Python.
//
//     struct Latest {                                   // or by a function object without state:
//       auto operator()(const Job& job) const { return -job.number; }
//     };
//     troupe::PriorityQueue<Job, Latest> jobs;
//
// Threads: any.
struct PriorityOf {
  template <class T>
  constexpr auto operator()(const T& value) const {
    if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
      return value;
    } else if constexpr (requires { value.time_since_epoch().count(); }) {
      return value.time_since_epoch().count();
    } else if constexpr (requires { typename T::period; value.count(); }) {
      return value.count();
    } else if constexpr (requires { value.priority(); }) {
      return (*this)(value.priority());
    } else if constexpr (requires { value.priority; }) {
      return (*this)(value.priority);
    } else if constexpr (requires { std::tuple_size<T>::value; }) {
      return (*this)(std::get<0>(value));
    } else {
      static_assert(sizeof(T) == 0, "what is the priority of these items? Give them a member `priority`, put pairs of a number and an "
                                    "item, or name a function object: PriorityQueue<T, Priority>");
      return 0;
    }
  }
};

namespace detail {

// In the same order, as a number that all processes compare alike. NaN comes last.
template <class Priority>
constexpr std::uint64_t rank_of(Priority priority) {
  constexpr std::uint64_t kSign = std::uint64_t{1} << 63;
  if constexpr (std::is_enum_v<Priority>) {
    return rank_of(static_cast<std::underlying_type_t<Priority>>(priority));
  } else if constexpr (std::floating_point<Priority>) {
    const auto number = static_cast<double>(priority);
    if (number != number) return std::numeric_limits<std::uint64_t>::max();
    const auto bits = std::bit_cast<std::uint64_t>(number + 0.0);  // there is but one zero
    return (bits & kSign) != 0 ? ~bits : bits | kSign;
  } else if constexpr (std::signed_integral<Priority>) {
    return static_cast<std::uint64_t>(std::int64_t{priority}) ^ kSign;
  } else {
    static_assert(std::unsigned_integral<Priority>, "the priority of an item has to be a number or an enumerator");
    return priority;
  }
}

}  // namespace detail

}  // namespace troupe
