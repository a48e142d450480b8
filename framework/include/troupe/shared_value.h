#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <troupe/sync.h>
#include <troupe/value.h>

namespace troupe {

// What can lie in shared memory: no pointers, no constructors that matter.
template <class T>
concept Shareable = std::is_trivially_copyable_v<T> && std::is_default_constructible_v<T> && !std::is_pointer_v<T> &&
                    !std::is_reference_v<T> && alignof(T) <= 64;

namespace detail {

// Size, alignment and nature of T, so that users who disagree about the type are told.
template <Shareable T>
constexpr std::uint64_t element_tag() {
  constexpr std::uint64_t nature = std::is_same_v<T, bool>       ? 1
                                   : std::is_floating_point_v<T> ? 2
                                   : std::is_signed_v<T>         ? 3
                                   : std::is_unsigned_v<T>       ? 4
                                   : std::is_enum_v<T>           ? 5
                                                                 : 6;
  return sizeof(T) | std::uint64_t{alignof(T)} << 32 | nature << 48;
}

template <class Array, Shareable T>
struct ArrayCodec;
template <class Value, class Array, Shareable T>
struct ValueCodec;

std::shared_ptr<LockPart> make_array(std::size_t count, std::uint64_t tag, bool locked);
std::shared_ptr<LockPart> open_array(std::uint64_t id, std::uint64_t tag);
std::uint64_t attach(const LockPart& array, Attachments& attachments);
std::span<std::byte> elements_of(LockPart& array);
RLock lock_of(const std::shared_ptr<LockPart>& array);

// Elements in shared memory, as all of these have them.
template <Shareable T>
class Elements {
 public:
  [[nodiscard]] std::size_t size() const { return elements_.size(); }
  // Throw std::out_of_range.
  [[nodiscard]] T& at(std::size_t index) const {
    if (index < elements_.size()) return elements_[index];
    throw std::out_of_range("element " + std::to_string(index) + " of " + std::to_string(elements_.size()));
  }
  [[nodiscard]] T& operator[](std::size_t index) const { return at(index); }
  [[nodiscard]] T* begin() const { return elements_.data(); }
  [[nodiscard]] T* end() const { return begin() + size(); }

 protected:
  explicit Elements(std::shared_ptr<LockPart> part) : part_(std::move(part)) {
    const auto bytes = elements_of(*part_);
    elements_ = {reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T)};
  }
  [[nodiscard]] const std::shared_ptr<LockPart>& part() const { return part_; }

 private:
  std::shared_ptr<LockPart> part_;
  std::span<T> elements_;
};

}  // namespace detail

// Elements in memory that processes share, and nothing that protects them: as multiprocessing.RawArray. A handle, as all in sync.h.
//
// Threads: as a C array.
template <Shareable T>
class RawArray : public detail::Elements<T> {
 public:
  explicit RawArray(std::size_t size) : RawArray(detail::make_array(size, detail::element_tag<T>(), false)) {}
  RawArray(std::initializer_list<T> values) : RawArray(values.size()) { std::ranges::copy(values, this->begin()); }

 private:
  friend struct detail::ArrayCodec<RawArray, T>;
  explicit RawArray(std::shared_ptr<detail::LockPart> part) : detail::Elements<T>(std::move(part)) {}
};

// The same with an RLock. get() and set() take it themselves; for more, and for the rest, hold get_lock().
//
//     troupe::Array<int> counts(10);
//     {
//       std::scoped_lock hold(counts.get_lock());
//       counts[3] += 1;
//     }
//
// When a process dies while it holds the lock, the next holder finds get_lock().abandoned() true: an element may be half written.
//
// Threads: get() and set() any; the rest under the lock.
template <Shareable T>
class Array : public detail::Elements<T> {
 public:
  explicit Array(std::size_t size) : Array(detail::make_array(size, detail::element_tag<T>(), true)) {}
  Array(std::initializer_list<T> values) : Array(values.size()) { std::ranges::copy(values, this->begin()); }

  [[nodiscard]] RLock& get_lock() { return lock_; }
  [[nodiscard]] T get(std::size_t index) {
    const std::scoped_lock hold(lock_);
    return this->at(index);
  }
  void set(std::size_t index, const T& value) {
    const std::scoped_lock hold(lock_);
    this->at(index) = value;
  }

 private:
  friend struct detail::ArrayCodec<Array, T>;
  explicit Array(std::shared_ptr<detail::LockPart> part) : detail::Elements<T>(std::move(part)), lock_(detail::lock_of(this->part())) {}
  RLock lock_;
};

// A block of bytes that processes share, as multiprocessing.shared_memory's, but for its name: it is a handle, and gone with its last
// user, however that one ends. Nothing of it is ever seen in /dev/shm.
//
//     troupe::SharedMemory picture(width * height * 4);
//     std::memset(picture.bytes().data(), 0, picture.size());
//     troupe::Process painter(paint, picture);
//
// It is zeroed, all there from the beginning, and lies on a line of 64 bytes. Throws SystemError when there is no memory,
// std::invalid_argument for a size of 0, std::length_error for one over 128 GiB.
//
// Threads: as a C array.
class SharedMemory {
 public:
  explicit SharedMemory(std::size_t size);
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::span<std::byte> bytes() const { return {lines_.begin()->bytes, size_}; }
  // The same as elements: as many as fit.
  template <Shareable T>
  [[nodiscard]] std::span<T> as() const {
    return {reinterpret_cast<T*>(bytes().data()), size_ / sizeof(T)};
  }

 private:
  friend struct Codec<SharedMemory>;
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  SharedMemory(RawArray<Line> lines, std::size_t size);
  RawArray<Line> lines_;
  std::size_t size_;
};

template <>
struct Codec<SharedMemory> {
  static constexpr std::string_view name = "shared memory";
  using Wire = std::pair<std::uint64_t, std::uint64_t>;
  static Wire pack(const SharedMemory& memory, Attachments& attachments);
  static SharedMemory unpack(Wire wire, const Attachments& attachments);
};

// One value that nothing protects.
template <Shareable T>
class RawValue {
 public:
  explicit RawValue(const T& first = T{}) : array_(1) { value() = first; }
  [[nodiscard]] T& value() const { return *array_.begin(); }

 private:
  friend struct detail::ValueCodec<RawValue, RawArray<T>, T>;
  explicit RawValue(RawArray<T> array) : array_(std::move(array)) { static_cast<void>(array_.at(0)); }
  RawArray<T> array_;
};

// One value with an RLock.
//
//     troupe::Value<int> counter(0);
//     {
//       std::scoped_lock hold(counter.get_lock());
//       counter.value() += 1;
//     }
//
// Threads: get() and set() any; value() under the lock.
template <Shareable T>
class Value {
 public:
  explicit Value(const T& first = T{}) : array_(1) { value() = first; }
  [[nodiscard]] T& value() const { return *array_.begin(); }
  [[nodiscard]] RLock& get_lock() { return array_.get_lock(); }
  [[nodiscard]] T get() { return array_.get(0); }
  void set(const T& value) { array_.set(0, value); }

 private:
  friend struct detail::ValueCodec<Value, Array<T>, T>;
  explicit Value(Array<T> array) : array_(std::move(array)) { static_cast<void>(array_.at(0)); }
  Array<T> array_;
};

namespace detail {

// What is said of the type of elements: all of it where it could be sent, else its size.
template <Shareable T>
using NamedElement = std::conditional_t<Encodable<T>, T, std::array<std::byte, sizeof(T)>>;

template <class Array, Shareable T>
struct ArrayCodec {
  using Of = NamedElement<T>;
  using Wire = std::uint64_t;
  static Wire pack(const Array& array, Attachments& attachments) { return attach(*array.part(), attachments); }
  static Array unpack(Wire id, const Attachments& attachments) {
    attachments.arrived.push_back(id);
    return Array(open_array(id, element_tag<T>()));
  }
};
// Of one value, which lies in an Array.
template <class Value, class Array, Shareable T>
struct ValueCodec {
  using Of = NamedElement<T>;
  using Wire = std::uint64_t;
  static Wire pack(const Value& value, Attachments& attachments) { return Codec<Array>::pack(value.array_, attachments); }
  static Value unpack(Wire id, const Attachments& attachments) { return Value(Codec<Array>::unpack(id, attachments)); }
};

}  // namespace detail

template <Shareable T>
struct Codec<RawArray<T>> : detail::ArrayCodec<RawArray<T>, T> {
  static constexpr std::string_view name = "raw array";
};
template <Shareable T>
struct Codec<Array<T>> : detail::ArrayCodec<Array<T>, T> {
  static constexpr std::string_view name = "shared array";
};
template <Shareable T>
struct Codec<RawValue<T>> : detail::ValueCodec<RawValue<T>, RawArray<T>, T> {
  static constexpr std::string_view name = "raw value";
};
template <Shareable T>
struct Codec<Value<T>> : detail::ValueCodec<Value<T>, Array<T>, T> {
  static constexpr std::string_view name = "shared value";
};

}  // namespace troupe
