#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <stdexcept>

#include "queue/queue_memory.h"
#include "queue/shared_queue.h"

// What the tests of queues share.
namespace queue_test {

using troupe::queue::Bytes;
using troupe::queue::QueueMemory;
using troupe::queue::QueueOptions;
using troupe::queue::SharedQueue;

inline std::shared_ptr<const QueueMemory> make_memory(const QueueOptions& options) {
  return std::make_shared<const QueueMemory>(QueueMemory::create(options));
}

// An item of `size` bytes (8 at least) that tells which it is, and whether it is whole.
inline Bytes make_item(std::uint64_t number, std::size_t size = 8) {
  Bytes item(size);
  std::memcpy(item.data(), &number, sizeof number);
  for (std::size_t i = sizeof number; i < size; ++i) item[i] = static_cast<std::byte>(number * 31 + i * 7 + size);
  return item;
}

inline std::uint64_t number_of(std::span<const std::byte> item) {
  std::uint64_t number = 0;
  if (item.size() < sizeof number) throw std::runtime_error("an item that is too small to be one of ours");
  std::memcpy(&number, item.data(), sizeof number);
  return number;
}

// Its number; throws if it is torn.
inline std::uint64_t read_item(std::span<const std::byte> item) {
  const std::uint64_t number = number_of(item);
  for (std::size_t i = sizeof number; i < item.size(); ++i) {
    if (item[i] != static_cast<std::byte>(number * 31 + i * 7 + item.size())) throw std::runtime_error("a torn item");
  }
  return number;
}

}  // namespace queue_test
