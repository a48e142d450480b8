#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include <troupe/duration.h>

namespace troupe::os {

// Waiting on a word of memory that processes share. The kernel keeps the sleepers: one that is killed leaves nothing behind.
//
// Threads: any.

// Sleeps while `word` is `seen`, until woken or `deadline`. False if the deadline passed; true means look again, as it also
// returns for signals and for no reason at all.
bool futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t seen, Clock::time_point deadline = Clock::time_point::max());

// The same for several words at once: until any of them is woken. At most kFutexesMax. Throws SystemError with ENOSYS before Linux 5.16.
struct FutexSeen {
  const std::atomic<std::uint32_t>* word;
  std::uint32_t seen;
};
inline constexpr std::size_t kFutexesMax = 128;
bool futex_wait_any(std::span<const FutexSeen> words, Clock::time_point deadline = Clock::time_point::max());

// Wakes up to `count` sleepers. Cannot fail where the word is mapped.
void futex_wake(const std::atomic<std::uint32_t>& word, int count);
void futex_wake_all(const std::atomic<std::uint32_t>& word);

}  // namespace troupe::os
