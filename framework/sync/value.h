#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>

#include <troupe/errors.h>

#include "sync/lock.h"

namespace troupe::sync {

// What can lie in shared memory: no pointers, no constructors that matter.
template <class T>
concept Shareable = std::is_trivially_copyable_v<T> && std::is_default_constructible_v<T> && !std::is_pointer_v<T> &&
                    !std::is_reference_v<T> && alignof(T) <= kLine;

// Size, alignment and nature of T, so that users who disagree about the type are told.
template <Shareable T>
constexpr std::uint64_t type_tag() {
  constexpr std::uint64_t nature = std::is_same_v<T, bool>       ? 1
                                   : std::is_floating_point_v<T> ? 2
                                   : std::is_signed_v<T>         ? 3
                                   : std::is_unsigned_v<T>       ? 4
                                   : std::is_enum_v<T>           ? 5
                                                                 : 6;
  return sizeof(T) | std::uint64_t{alignof(T)} << 32 | nature << 48;
}

// multiprocessing.RawArray: elements in shared memory that nothing protects.
//
// Threads: as a C array.
template <Shareable T>
class RawArray {
 public:
  static std::size_t memory_size(std::uint32_t size) { return sync::memory_size({Kind::raw_array, 1, size, type_tag<T>()}); }
  static void format(std::span<std::byte> memory, std::uint32_t size) {
    sync::format(memory, {Kind::raw_array, 1, size, type_tag<T>()});
  }
  // Throws ProtocolError if there are not such elements in `memory`.
  explicit RawArray(std::span<std::byte> memory) {
    const Shape shape = shape_of(memory, Kind::raw_array, 0);
    place(Parts(memory), shape);
  }

  [[nodiscard]] std::size_t size() const { return elements_.size(); }
  // Throws std::out_of_range.
  [[nodiscard]] T& at(std::size_t index) const {
    if (index >= elements_.size()) {
      throw std::out_of_range("element " + std::to_string(index) + " of " + std::to_string(elements_.size()));
    }
    return elements_[index];
  }
  [[nodiscard]] T& operator[](std::size_t index) const { return at(index); }
  [[nodiscard]] T* begin() const { return elements_.data(); }
  [[nodiscard]] T* end() const { return begin() + elements_.size(); }

 protected:
  RawArray() = default;
  void place(Parts parts, const Shape& shape) {
    if (shape.type != type_tag<T>()) throw ProtocolError("shared memory: elements of another type");
    elements_ = {parts.next<T>(shape.count), shape.count};
  }

 private:
  std::span<T> elements_;
};

// multiprocessing.Array: elements and an RLock for them. Single reads and writes by get() and set() take the lock themselves; for more,
// and for at(), iteration and [], hold get_lock().
//
//     Array<int> counts(memory, me);
//     {
//       std::scoped_lock hold(counts.get_lock());
//       counts[3] += 1;
//     }
//
// When a user dies while it holds the lock, the next holder finds get_lock().abandoned() true: an element may be half written.
//
// Threads: get() and set() any; the rest under the lock.
template <Shareable T>
class Array : public RawArray<T> {
 public:
  static std::size_t memory_size(std::uint32_t users, std::uint32_t size) { return sync::memory_size(shape(users, size)); }
  static void format(std::span<std::byte> memory, std::uint32_t users, std::uint32_t size) {
    sync::format(memory, shape(users, size));
  }
  Array(std::span<std::byte> memory, Slot me) : Array(Parts(memory), shape_of(memory, Kind::array, me), me) {}

  [[nodiscard]] RLock& get_lock() { return lock_; }
  [[nodiscard]] T get(std::size_t index) {
    const std::scoped_lock hold(lock_);
    return this->at(index);
  }
  void set(std::size_t index, const T& value) {
    const std::scoped_lock hold(lock_);
    this->at(index) = value;
  }

  // By root, once `dead` is.
  void recover(Slot dead) { lock_.recover(dead); }

 private:
  static constexpr Shape shape(std::uint32_t users, std::uint32_t size) { return {Kind::array, users, size, type_tag<T>()}; }
  Array(Parts parts, const Shape& shape, Slot me) : lock_(RLock::part_of(parts, shape.users, me)) { this->place(parts, shape); }

  RLock lock_;
};

// multiprocessing.RawValue: one value in shared memory that nothing protects.
template <Shareable T>
class RawValue : private RawArray<T> {
 public:
  static std::size_t memory_size() { return RawArray<T>::memory_size(1); }
  static void format(std::span<std::byte> memory) { RawArray<T>::format(memory, 1); }
  explicit RawValue(std::span<std::byte> memory) : RawArray<T>(memory) { static_cast<void>(this->at(0)); }

  [[nodiscard]] T& value() const { return *this->begin(); }
};

// multiprocessing.Value: one value and an RLock for it.
//
//     Value<int> counter(memory, me);
//     {
//       std::scoped_lock hold(counter.get_lock());
//       counter.value() += 1;
//     }
//
// Threads: get() and set() any; value() under the lock.
template <Shareable T>
class Value : private Array<T> {
 public:
  static std::size_t memory_size(std::uint32_t users) { return Array<T>::memory_size(users, 1); }
  static void format(std::span<std::byte> memory, std::uint32_t users, const T& value = T{}) {
    Array<T>::format(memory, users, 1);
    Array<T>(memory, 0).at(0) = value;
  }
  Value(std::span<std::byte> memory, Slot me) : Array<T>(memory, me) { static_cast<void>(this->at(0)); }

  using Array<T>::get_lock;
  using Array<T>::recover;
  [[nodiscard]] T& value() const { return *this->begin(); }
  [[nodiscard]] T get() { return Array<T>::get(0); }
  void set(const T& value) { Array<T>::set(0, value); }
};

}  // namespace troupe::sync
