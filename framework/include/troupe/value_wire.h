#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

// Cap'n Proto's encoding, written and read in one go. All of a message lies in one segment in the order in which its pointers
// are met (its canonical order), so that a writer needs no arena and a reader knows where each pointer must lead: one that
// leads elsewhere is refused, and so no message can be longer than it is.
namespace troupe {

struct Attachments;

namespace wire {

static_assert(std::endian::native == std::endian::little, "Cap'n Proto is little-endian, and so must the machine be");

inline constexpr std::size_t kWord = 8;
// What a pointer can count and reach: list elements, words.
inline constexpr std::size_t kWireMax = (std::size_t{1} << 29) - 1;

// The two sections of a struct.
struct Shape {
  std::uint16_t data = 0;
  std::uint16_t pointers = 0;
  [[nodiscard]] constexpr std::size_t words() const { return std::size_t{data} + pointers; }
  [[nodiscard]] constexpr std::uint64_t bits() const { return std::uint64_t{data} << 32 | std::uint64_t{pointers} << 48; }
};

// What a list is made of, as Cap'n Proto numbers it.
enum class Element : std::uint8_t { none, bit, byte, two, four, eight, pointer, structure };

constexpr Element element_of_bits(unsigned bits) {
  return bits == 1    ? Element::bit
         : bits == 8  ? Element::byte
         : bits == 16 ? Element::two
         : bits == 32 ? Element::four
                      : Element::eight;
}
constexpr unsigned bits_of_element(Element element) {
  constexpr std::array<std::uint8_t, 8> kBits = {0, 1, 8, 16, 32, 64, 64, 0};
  return kBits[static_cast<std::size_t>(element)];
}

// A peer sent what no writer writes: throws ProtocolError.
[[noreturn]] void refuse_value(std::string_view why);
// Throws std::length_error: a message holds at most 4 GiB and 2^29 elements a list.
[[noreturn]] void refuse_size();
// Throws std::logic_error: what moves these bytes cannot move what is attached to them.
[[noreturn]] void refuse_attachments();

constexpr std::size_t list_words(std::size_t count, unsigned bits) {
  if (count > kWireMax) refuse_size();
  return (count * bits + 63) / 64;
}

template <class T>
void store(std::byte* to, const T& value) {
  std::memcpy(to, &value, sizeof value);
}
template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

constexpr std::uint64_t struct_pointer(std::ptrdiff_t offset, Shape shape) {
  return (static_cast<std::uint32_t>(offset) << 2) | shape.bits();
}
constexpr std::uint64_t list_pointer(std::ptrdiff_t offset, Element element, std::size_t count) {
  return (static_cast<std::uint32_t>(offset) << 2 | 1u) | static_cast<std::uint64_t>(element) << 32 |
         std::uint64_t{count} << 35;
}

// Puts objects one behind another into room that was counted before. Each put takes the place of a pointer and returns that of
// what it points at: zeroed, but for the elements of lists of data, which have only their last word zeroed.
class WireWriter {
 public:
  WireWriter(std::span<std::byte> room, Attachments* attachments)
      : next_(room.data()), end_(room.data() + room.size()), attachments_(attachments) {}

  std::byte* put_struct(std::byte* pointer, Shape shape) {
    std::byte* at = take(shape.words());
    std::memset(at, 0, shape.words() * kWord);
    store(pointer, struct_pointer(offset(pointer, at), shape));
    return at;
  }
  std::byte* put_list(std::byte* pointer, Element element, std::size_t count) {
    const std::size_t words = list_words(count, bits_of_element(element));
    std::byte* at = take(words);
    if (element == Element::pointer || element == Element::bit) {
      std::memset(at, 0, words * kWord);
    } else if (words != 0) {
      store(at + (words - 1) * kWord, std::uint64_t{0});
    }
    store(pointer, list_pointer(offset(pointer, at), element, count));
    return at;
  }
  std::byte* put_struct_list(std::byte* pointer, Shape shape, std::size_t count) {
    const std::size_t words = count * shape.words();
    std::byte* tag = take(words + 1);
    std::memset(tag + kWord, 0, words * kWord);
    store(tag, struct_pointer(static_cast<std::ptrdiff_t>(count), shape));
    store(pointer, list_pointer(offset(pointer, tag), Element::structure, words));
    return tag + kWord;
  }

  // The first word of a message.
  std::byte* put_root() { return take(1); }
  [[nodiscard]] bool full() const { return next_ == end_; }
  // Behind what was put.
  [[nodiscard]] std::byte* end() const { return next_; }
  [[nodiscard]] Attachments& attachments() const {
    if (!attachments_) refuse_attachments();
    return *attachments_;
  }

 private:
  static std::ptrdiff_t offset(const std::byte* pointer, const std::byte* at) { return (at - pointer) / 8 - 1; }
  std::byte* take(std::size_t words) {
    if (static_cast<std::size_t>(end_ - next_) < words * kWord) refuse_size();
    std::byte* at = next_;
    next_ += words * kWord;
    return at;
  }
  std::byte* next_;
  std::byte* end_;
  Attachments* attachments_;
};

// Takes objects in the order in which WireWriter puts them. Each word is looked at once. Throws ProtocolError.
class WireReader {
 public:
  struct List {
    const std::byte* at = nullptr;
    std::size_t count = 0;
  };

  WireReader(std::span<const std::byte> message, const Attachments* attachments)
      : next_(message.data()), end_(message.data() + message.size()), attachments_(attachments) {}

  // Null where the pointer is.
  const std::byte* get_struct(const std::byte* pointer, Shape shape) {
    const auto word = load<std::uint64_t>(pointer);
    if (word == 0) return nullptr;
    if (word != struct_pointer(offset(pointer), shape)) refuse_value("a pointer to a struct leads elsewhere");
    return take(shape.words());
  }
  const std::byte* get_required_struct(const std::byte* pointer, Shape shape) {
    const std::byte* at = get_struct(pointer, shape);
    if (!at) refuse_value("a struct is not there");
    return at;
  }
  // Empty where the pointer is null.
  List get_list(const std::byte* pointer, Element element) {
    const auto word = load<std::uint64_t>(pointer);
    if (word == 0) return {};
    const std::size_t count = word >> 35;
    if (word != list_pointer(offset(pointer), element, count)) refuse_value("a pointer to a list leads elsewhere");
    return {take(list_words(count, bits_of_element(element))), count};
  }
  List get_struct_list(const std::byte* pointer, Shape shape) {
    const auto word = load<std::uint64_t>(pointer);
    if (word == 0) return {};
    const std::size_t words = word >> 35;
    if (word != list_pointer(offset(pointer), Element::structure, words)) refuse_value("a pointer to a list leads elsewhere");
    const auto tag = load<std::uint64_t>(take(1));
    const std::size_t count = (tag & 0xffffffff) >> 2;
    if (tag != struct_pointer(static_cast<std::ptrdiff_t>(count), shape)) refuse_value("a list is of other structs");
    if (count * shape.words() != words) refuse_value("a list is not as long as it says");
    return {take(words), count};
  }

  const std::byte* get_root() { return take(1); }
  // Throws if there is more.
  void finish() const {
    if (next_ != end_) refuse_value("there is more than was read");
  }
  [[nodiscard]] const Attachments& attachments() const {
    if (!attachments_) refuse_attachments();
    return *attachments_;
  }

 private:
  [[nodiscard]] std::ptrdiff_t offset(const std::byte* pointer) const { return (next_ - pointer) / 8 - 1; }
  const std::byte* take(std::size_t words) {
    if (static_cast<std::size_t>(end_ - next_) < words * kWord) refuse_value("it ends too early");
    const std::byte* at = next_;
    next_ += words * kWord;
    return at;
  }
  const std::byte* next_;
  const std::byte* end_;
  const Attachments* attachments_;
};

}  // namespace wire
}  // namespace troupe
