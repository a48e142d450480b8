#include <troupe/message.h>

#include <algorithm>
#include <cstdlib>
#include <new>

namespace troupe::detail {

namespace {

constexpr std::size_t kScratchWords = 8192;

struct ThreadScratch {
  std::unique_ptr<capnp::word, decltype(&std::free)> words{nullptr, &std::free};
  bool busy = false;
};
thread_local ThreadScratch thread_scratch;

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

Scratch::Scratch() {
  auto& mine = thread_scratch;
  if (mine.busy) return;
  if (!mine.words) mine.words.reset(static_cast<capnp::word*>(allocate_zeroed(kScratchWords)));
  mine.busy = true;
  words = kj::arrayPtr(mine.words.get(), kScratchWords);
}

Scratch::~Scratch() {
  if (words.size() != 0) thread_scratch.busy = false;
}

}  // namespace troupe::detail
