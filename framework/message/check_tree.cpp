#include "message/check_tree.h"

#include <troupe/errors.h>
#include <troupe/message.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace troupe::message {

namespace {

[[noreturn]] void refuse(const char* what) { throw ProtocolError(std::string("frame: not a Cap'n Proto message: ") + what); }

enum PointerKind : unsigned { kStruct = 0, kList = 1 };
enum ElementSize : unsigned { kPointers = 6, kComposite = 7 };
constexpr std::array<std::uint64_t, 6> kElementBits = {0, 1, 8, 16, 32, 64};
constexpr int kDepthMax = 32;

// A struct's sections, in words: the upper half of a struct pointer.
struct Sections {
  explicit Sections(std::uint64_t pointer)
      : data(static_cast<std::uint16_t>(pointer >> 32)), pointers(static_cast<std::uint16_t>(pointer >> 48)) {}
  [[nodiscard]] std::uint64_t size() const { return data + pointers; }
  std::uint64_t data;
  std::uint64_t pointers;
};

// Positions are counted in words from the beginning.
class Walk {
 public:
  explicit Walk(std::span<const capnp::word> words)
      : words_(words), budget_(detail::reader_options(words.size()).traversalLimitInWords) {}

  void pointer(std::uint64_t at, int depth) {
    const std::uint64_t pointer = word(at);
    if (pointer == 0) return;
    const auto distance = static_cast<std::int32_t>(pointer) >> 2;
    const std::uint64_t target = at + 1 + static_cast<std::uint64_t>(static_cast<std::int64_t>(distance));
    switch (pointer & 3) {
      case kStruct: return structure(target, Sections(pointer), depth);
      case kList: return list(target, pointer, depth);
      default: refuse("a pointer to another segment or a capability");
    }
  }

 private:
  void structure(std::uint64_t at, Sections sections, int depth) {
    if (sections.size() == 0) return;
    take(at, sections.size(), 0);
    pointers(at + sections.data, sections.pointers, depth);
  }

  void list(std::uint64_t at, std::uint64_t pointer, int depth) {
    const std::uint64_t count = pointer >> 35;
    const auto element = static_cast<unsigned>(pointer >> 32 & 7);
    if (element == kComposite) return structures(at, count, depth);
    const std::uint64_t size = element == kPointers ? count : (count * kElementBits[element] + 63) / 64;
    take(at, size, size == 0 ? count : 0);
    if (element == kPointers) pointers(at, count, depth);
  }

  // A list of structs of `size` words, behind a word that says how many there are and of what kind.
  void structures(std::uint64_t at, std::uint64_t size, int depth) {
    take(at, size + 1, 0);
    const std::uint64_t tag = word(at);
    const std::uint64_t count = static_cast<std::uint32_t>(tag) >> 2;
    const Sections sections(tag);
    if ((tag & 3) != kStruct) refuse("a list of structs without its tag");
    if (count * sections.size() > size) refuse("a list of structs that overflows");
    if (sections.size() == 0) spend(count);
    if (sections.pointers == 0) return;
    for (std::uint64_t i = 0; i < count; ++i) pointers(at + 1 + i * sections.size() + sections.data, sections.pointers, depth);
  }

  void pointers(std::uint64_t at, std::uint64_t count, int depth) {
    if (count != 0 && depth >= kDepthMax) refuse("nested too deep");
    for (std::uint64_t i = 0; i < count; ++i) pointer(at + i, depth + 1);
  }

  // `size` words from `at` on are inside; `extra` things without size cost as much as words.
  void take(std::uint64_t at, std::uint64_t size, std::uint64_t extra) {
    if (at > words_.size() || size > words_.size() - at) refuse("a pointer that leads out of it");
    spend(size + extra);
  }
  void spend(std::uint64_t cost) {
    if (cost > budget_) refuse("more to read than it has");
    budget_ -= cost;
  }

  [[nodiscard]] std::uint64_t word(std::uint64_t at) const {
    std::uint64_t value = 0;
    std::memcpy(&value, &words_[at], sizeof value);
    return value;
  }

  std::span<const capnp::word> words_;
  std::uint64_t budget_;
};

}  // namespace

void check_tree(std::span<const capnp::word> words) { Walk(words).pointer(0, 0); }

}  // namespace troupe::message
