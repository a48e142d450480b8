#include "transport/buffer.h"

#include <algorithm>
#include <cstring>

namespace troupe::transport {
namespace {

constexpr std::size_t kRoomMin = 4096;
constexpr std::size_t kKeptRoom = std::size_t{1} << 20;  // a large frame's memory is given back when it is through

}  // namespace

std::span<std::byte> Buffer::reserve(std::size_t size) {
  if (begin_ == end_) {
    begin_ = end_ = 0;
    if (room_ > kKeptRoom && size <= kKeptRoom) move_to(std::max(size, kRoomMin));
  }
  if (room_ - end_ < size) {
    const std::size_t needed = filled().size() + size;
    // Moving what is inside to the front is cheap if it is little, and growing doubles: so each byte is moved a few times at
    // most.
    if (needed <= room_ && filled().size() <= room_ / 2) {
      std::memmove(bytes_.get(), filled().data(), filled().size());
      end_ -= begin_;
      begin_ = 0;
    } else {
      move_to(std::max({needed, 2 * room_, kRoomMin}));
    }
  }
  return {bytes_.get() + end_, room_ - end_};
}

void Buffer::move_to(std::size_t room) {
  auto bytes = std::make_unique_for_overwrite<std::byte[]>(room);
  const auto old = filled();
  if (!old.empty()) std::memcpy(bytes.get(), old.data(), old.size());
  bytes_ = std::move(bytes);
  room_ = room;
  end_ = old.size();
  begin_ = 0;
}

}  // namespace troupe::transport
