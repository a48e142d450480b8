#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <troupe/duration.h>

#include "queue/blocks.h"
#include "queue/leases.h"
#include "queue/log_reader.h"
#include "queue/log_writer.h"
#include "queue/held.h"
#include "queue/ordered_items.h"
#include "queue/queue_memory.h"
#include "queue/segments.h"
#include "queue/waiting.h"

namespace troupe::queue {

using Bytes = std::vector<std::byte>;

// Several items in one buffer.
class Items {
 public:
  void clear() { ends_.clear(); }
  // Room for one more, to be filled in.
  std::span<std::byte> add(std::size_t size) {
    const std::size_t start = ends_.empty() ? 0 : ends_.back();
    if (bytes_.size() - start < size) [[unlikely]] bytes_.resize(std::max(start + size, 2 * bytes_.size()));
    ends_.push_back(start + size);
    return std::span(bytes_).subspan(start, size);
  }
  [[nodiscard]] std::size_t size() const { return ends_.size(); }
  [[nodiscard]] bool empty() const { return ends_.empty(); }
  [[nodiscard]] std::span<const std::byte> operator[](std::size_t i) const {
    const std::size_t start = i == 0 ? 0 : ends_[i - 1];
    return std::span(bytes_).subspan(start, ends_[i] - start);
  }

 private:
  Bytes bytes_;  // more than is filled
  std::vector<std::size_t> ends_;
};

enum class PutResult { done, full, closed, dropped };
enum class GetResult { item, empty, ended };

struct Counts {
  std::uint64_t put = 0;             // ever; dropped newest ones not among them
  std::uint64_t taken = 0;           // from the log: got, leased or dropped as the oldest
  std::uint64_t dropped_newest = 0;  // this and those below miss the last event of a user that was killed in it
  std::uint64_t dropped_oldest = 0;  // this one does not
  std::uint64_t redelivered = 0;
  std::uint64_t quarantined = 0;     // became dead letters
  std::uint64_t dead_dropped = 0;    // dead letters that gave way to newer ones
  std::uint32_t leased = 0;          // now
  std::uint32_t returned = 0;        // now, waiting to be leased again
  std::uint32_t dead = 0;            // dead letters now
};

// A queue of byte strings in one memfd, for many producers and many consumers in any processes.
//
//     os::Descriptor memory = QueueMemory::create({.items_max = 1000});
//     SharedQueue queue(std::make_shared<QueueMemory>(memory.duplicate()), slot);  // in each process, under a number of its own
//     queue.put(bytes);
//     while (queue.lease(bytes, lease) == GetResult::item) {
//       work(bytes);
//       queue.acknowledge(lease);
//     }
//
// First in, first out; returned items first of all, in their order. Or another Order, where returned items come out at their old
// places. What is put is copied in, what is got is copied out.
//
// A user may be killed anywhere: once somebody who knows called recover() with its slot, all others go on. What it was putting is
// there whole or not at all, and there if put() returned. What it leased is returned, or a dead letter after deliveries_max. What
// it got without a lease is got once or not at all. Until then others may have to wait, those with a deadline until that.
//
// After close(), consumers drain the queue. One that finds nothing more waits as long as others hold leases, since these may come
// back; but not if it holds some itself.
//
// Memory is taken as needed, and some stays for the next items: segments, small leased items, blocks. A consumer that begins to wait
// while there is some, and has waited in vain for 100 ms, or finds the end, gives that back. What an empty queue has then beyond a new one is the segment for the next item, unless it
// is closed, and the pages of what tells where things are: 4 bytes for each segment, 8 for each block, 64 for each lease that there was at
// a time; with another order, a page's worth of entries.
//
// Deadlines: kNow does not wait at all, except for those who are just moving an item; Clock::time_point::max() waits for ever.
//
// Throws ProtocolError, now and ever after, if another user has broken the shared memory; so do all other users then, also those that sleep.
// SystemError if there is no memory;
// std::length_error for an item that never fits.
//
// Threads: any; they share their process's slot.
class SharedQueue {
 public:
  // `when_broken` is called when this user finds that the memory was overwritten, by the thread that does; also several at once.
  SharedQueue(std::shared_ptr<const QueueMemory> memory, std::uint32_t slot, std::function<void()> when_broken = {});

  // done, or: full, where the queue's policy is to block and the deadline has passed, or to fail; closed; dropped, if that is the policy.
  PutResult put(std::span<const std::byte> item, Clock::time_point deadline = Clock::time_point::max());
  // Puts several, from the first on, as room and the deadline permit; says how many. Cheaper than one by one.
  std::size_t put_many(std::span<const std::span<const std::byte>> items, Clock::time_point deadline = Clock::time_point::max());

  // item, or: empty, if the deadline has passed; ended, if the queue is closed and nothing will come any more.
  GetResult get(Bytes& item, Clock::time_point deadline = Clock::time_point::max());
  // Waits for the first, then takes what is there, `most` items at most.
  GetResult get_many(Items& items, std::size_t most, Clock::time_point deadline = Clock::time_point::max());

  GetResult lease(Bytes& item, Lease& lease, Clock::time_point deadline = Clock::time_point::max());
  GetResult lease_many(Items& items, std::vector<Lease>& leases, std::size_t most, Clock::time_point deadline = Clock::time_point::max());
  // False if the lease was over already: then the item may have been given to another.
  bool acknowledge(const Lease& lease);
  bool give_back(const Lease& lease);

  // Leases the oldest dead letter; false if there is none. Acknowledged it is gone, given back it is a dead letter again.
  bool take_dead_letter(Bytes& item, Lease& lease);

  // A get would not wait: for an item, or because the queue has ended. False, too, if that cannot be known before the deadline.
  [[nodiscard]] bool ready(Clock::time_point deadline = Clock::time_point::max());
  // For those who wait for other things as well and take nothing: declares the wish to be woken. Then look at ready() again, and sleep
  // on epoch() being what this returned. Afterwards pass_on(), for a wake-up may have been meant for who takes.
  [[nodiscard]] std::uint32_t arm();
  [[nodiscard]] const HalfWord& epoch() const { return control().items.epoch; }
  void pass_on();

  // No more puts; consumers drain what is there.
  void close();
  [[nodiscard]] bool closed() const;

  // Waits until everything that was put is taken and no lease is left. False if the deadline has passed.
  bool join(Clock::time_point deadline = Clock::time_point::max());

  // Items that could be got, exactly, while nobody is at work.
  [[nodiscard]] std::uint64_t size() const;
  [[nodiscard]] bool empty() const { return size() == 0; }
  // A put would find no room. Returned items need none.
  [[nodiscard]] bool full() const;
  [[nodiscard]] Counts counts() const;
  [[nodiscard]] std::uint64_t item_size_max() const {
    const std::uint64_t most = memory_->geometry.item_max, bytes_max = memory_->constants.bytes_max;
    return bytes_max == 0 ? most : std::min(bytes_max, most);
  }
  [[nodiscard]] std::uint32_t ticket_end() const { return memory_->constants.ticket_end; }
  [[nodiscard]] Order order() const { return memory_->constants.order; }

 private:
  using Spans = std::span<const std::span<const std::byte>>;
  // Where leases go that are being taken; there is room for as many as are asked for.
  struct LeaseRoom {
    Lease* leases;
    std::size_t count = 0;
  };

  template <class TryPut>
  bool put_now(const TryPut& try_put, Clock::time_point until);
  template <class TryPut>
  PutResult insert(const TryPut& try_put, Clock::time_point deadline);
  PutResult insert_large(std::span<const std::byte> item, BlockId block, Clock::time_point deadline);
  PutResult put_large(std::span<const std::byte> item, Clock::time_point deadline);
  std::size_t append_some(Spans items, Clock::time_point deadline);
  bool make_room(Clock::time_point deadline);
  bool drop_oldest();
  PutResult refuse();

  template <class Sink>
  GetResult take(const Sink& sink, LeaseRoom* leases, std::size_t most, Clock::time_point deadline);
  template <class Sink>
  GetResult take_patiently(const Sink& sink, LeaseRoom* leases, std::size_t most, Clock::time_point deadline);
  template <class Sink>
  GetResult take_until(const Sink& sink, LeaseRoom* leases, std::size_t most, Clock::time_point deadline);
  template <class Sink>
  bool take_some(Held& held, const Sink& sink, LeaseRoom* leases, std::size_t most);
  template <class Sink>
  std::size_t copy_small(LogReader::Cursor& cursor, LogReader::Record& record, const Sink& sink, LeaseRoom* leases, std::size_t most);
  template <class Sink>
  void hand_over(const Lease& lease, const Sink& sink, LeaseRoom* leases);
  template <class Sink>
  void take_large(Held& held, const Sink& sink, LeaseRoom* leases);
  std::optional<Lease> hold(const LogReader::Record& record, bool leased);
  template <class Sink>
  bool take_ordered(Held& held, const Sink& sink, LeaseRoom* leases, std::size_t most);
  template <class Sink>
  std::size_t take_small(const Sink& sink, std::size_t most);
  template <class Sink>
  bool lease_ordered(Held& held, const Sink& sink, LeaseRoom& room, std::size_t most);
  bool acknowledge_ordered(const Lease& lease);
  bool free_ordered(const Lease& lease);
  bool give_back_ordered(const Lease& lease);
  template <class Work>
  bool settled(Work work);
  void give_back_spare(Clock::time_point deadline);
  bool is_drained();
  bool nothing_comes_back();

  [[nodiscard]] bool is_known(Clock::time_point deadline) const;
  [[nodiscard]] bool is_idle(Clock::time_point deadline) const;
  void after_taking();
  void tell_idle();
  void after_returning();
  void check(std::size_t size) const;
  [[noreturn]] void throw_size(std::size_t size) const;
  template <class Work>
  auto guarded(const Work& work);
  void found_broken();
  void check_whole() const;
  [[nodiscard]] ControlArea& control() const { return memory_->control(); }
  // With another order than first in, first out, there is one lock for both ends.
  [[nodiscard]] shared::KeptLock::User& get_lock() const { return ordered_ ? put_lock_ : get_lock_; }

  std::shared_ptr<const QueueMemory> memory_;
  std::function<void()> when_broken_;
  Owner me_;
  const bool ordered_;  // the items are in items_, and not in the log
  mutable shared::KeptLock::User put_lock_;
  mutable shared::KeptLock::User get_lock_;
  Segments segments_;
  LogWriter writer_;
  LogReader reader_;
  Blocks blocks_;
  Leases leases_;
  OrderedItems items_;
  Others producers_;  // for whom our consumers wait, and who wait for them
  Others consumers_;  // for whom our producers wait, and who wait for them
  std::atomic<bool> poisoned_{false};
};

}  // namespace troupe::queue
