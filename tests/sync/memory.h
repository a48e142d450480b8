#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <span>
#include <thread>

#include "os/memory.h"

namespace troupe::test {

// Memory that forked processes share, and a primitive in it.
class SharedMemory {
 public:
  explicit SharedMemory(std::size_t size) : mapping_(os::make_shared_memory("test", size), size) {}
  operator std::span<std::byte>() const { return bytes(); }  // NOLINT: stands for its bytes
  [[nodiscard]] std::span<std::byte> bytes() const { return mapping_.bytes(); }

 private:
  os::Mapping mapping_;
};

template <class Primitive, class... Arguments>
SharedMemory memory_of(Arguments... arguments) {
  SharedMemory memory(Primitive::memory_size(arguments...));
  Primitive::format(memory, arguments...);
  return memory;
}

// A T that forked processes share.
template <class T>
class SharedObject {
 public:
  SharedObject() : memory_(sizeof(T)), object_(new (memory_.bytes().data()) T{}) {}
  T& operator*() const { return *object_; }
  T* operator->() const { return object_; }

 private:
  SharedMemory memory_;
  T* object_;
};

// Until something has happened, without sleeping through it.
inline void await(const std::function<bool()>& happened) {
  while (!happened()) std::this_thread::yield();
}

}  // namespace troupe::test
