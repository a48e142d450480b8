#include <troupe/message.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace troupe::detail {

namespace {

void* allocate_zeroed(std::size_t words) {
  void* memory = std::calloc(words, sizeof(capnp::word));
  if (!memory) throw std::bad_alloc();
  return memory;
}

}  // namespace

void ScratchBuilder::Free::operator()(void* memory) const { std::free(memory); }

ScratchBuilder::~ScratchBuilder() noexcept {
  if (!first_used_) return;
  const auto used = getSegmentsForOutput()[0];
  std::memset(first_.begin(), 0, used.size() * sizeof(capnp::word));
}

kj::ArrayPtr<capnp::word> ScratchBuilder::allocateSegment(capnp::uint minimum) {
  if (!first_used_ && more_.empty() && first_.size() >= minimum) {
    first_used_ = true;
    total_ = first_.size();
    return first_;
  }
  // Each segment as large as all before it, so that there are few.
  const std::size_t words = std::max({std::size_t{minimum}, total_, std::size_t{1024}});
  auto* memory = static_cast<capnp::word*>(allocate_zeroed(words));
  more_.emplace_back(memory);
  total_ += words;
  return kj::arrayPtr(memory, words);
}

Strip& Strip::of_thread() {
  static thread_local Strip strip;
  return strip;
}

void Strip::Free::operator()(capnp::word* memory) const { std::free(memory); }

void Strip::start_over() {
  if (!memory_) memory_.reset(static_cast<capnp::word*>(allocate_zeroed(kWords)));
  builder_.emplace(kj::arrayPtr(memory_.get(), kWords));  // after the last one has cleared what was used
  root_ = builder_->getRoot<capnp::AnyPointer>();
  used_ = 1;
}

kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> Strip::segments() {
  const auto segments = builder_->getSegmentsForOutput();
  if (segments.size() > 1) {
    // Pointers from one segment into another count from its beginning, so the first goes whole: without the messages of others.
    std::memset(static_cast<void*>(memory_.get() + 1), 0, (used_ - 1) * sizeof(capnp::word));
    return segments;
  }
  // Everything lies behind the message before. The word between, the last one of that or the common root, is free for a root of
  // its own, which leads right behind itself.
  std::uint64_t root = 0;
  std::memcpy(&root, memory_.get(), sizeof root);
  root &= 0xffffffff'00000000;
  capnp::word* begin = memory_.get() + used_ - 1;
  std::memcpy(static_cast<void*>(begin), &root, sizeof root);
  used_ = segments[0].size();
  message_ = kj::arrayPtr(begin, memory_.get() + used_);
  return kj::arrayPtr(&message_, 1);
}

}  // namespace troupe::detail
