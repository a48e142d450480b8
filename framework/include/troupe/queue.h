#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include <troupe/duration.h>
#include <troupe/errors.h>
#include <troupe/queue_core.h>
#include <troupe/queue_priority.h>
#include <troupe/value.h>

namespace troupe {

class Waitable;  // wait.h

// An item of a queue that is not over yet: when its holder dies, or gives it back, another consumer gets it.
//
//     while (auto task = tasks.try_lease(1s)) work(**task);  // acknowledged at the end of each round
//
// The destructor acknowledges it; while an exception passes through, it gives it back.
//
// Threads: a value.
template <class T>
class Leased {
 public:
  Leased(std::shared_ptr<detail::QueuePart> queue, const detail::QueueLease& lease, T value)
      : queue_(std::move(queue)), lease_(lease), value_(std::move(value)) {}
  Leased(Leased&&) noexcept = default;
  Leased& operator=(Leased&& other) noexcept {
    std::swap(queue_, other.queue_), std::swap(lease_, other.lease_), std::swap(value_, other.value_);
    return *this;
  }
  ~Leased() {
    if (!queue_) return;
    std::uncaught_exceptions() > exceptions_ ? give_back() : acknowledge();
  }

  T& operator*() { return value_; }
  T* operator->() { return &value_; }
  // How often it was handed out, this time included.
  [[nodiscard]] std::uint32_t deliveries() const { return lease_.deliveries; }

  // It is done. False if it was over before.
  bool acknowledge() { return queue_ && detail::settle(*std::exchange(queue_, nullptr), lease_, true); }
  // Others may have it.
  bool give_back() { return queue_ && detail::settle(*std::exchange(queue_, nullptr), lease_, false); }

 private:
  std::shared_ptr<detail::QueuePart> queue_;
  detail::QueueLease lease_;
  T value_;
  int exceptions_ = std::uncaught_exceptions();
};

namespace detail {

template <class AnyQueue>
class QueueIterator {
 public:
  using value_type = decltype(std::declval<AnyQueue&>().get());
  using difference_type = std::ptrdiff_t;
  explicit QueueIterator(AnyQueue& queue) : queue_(&queue) { ++*this; }
  value_type& operator*() const { return *value_; }
  QueueIterator& operator++() {
    value_ = queue_->next();
    return *this;
  }
  void operator++(int) { ++*this; }
  bool operator==(std::default_sentinel_t) const { return !value_; }

 private:
  AnyQueue* queue_;
  mutable std::optional<value_type> value_;
};

// What queues of all orders have in common: see Queue. Items of a queue by priority begin with what Priority says of them.
template <class T, QueueOrder order, class Priority = PriorityOf>
class BasicQueue {
 public:
  explicit BasicQueue(QueueOptions options = {}) : part_(detail::make_queue(options, order, ticket_end())) {}
  explicit BasicQueue(std::size_t max_size) : BasicQueue(QueueOptions{.max_size = max_size}) {}

  void put(const T& value) { put(value, kForever); }
  void put(const T& value, Duration timeout) { detail::require(put_until(value, deadline_after(timeout))); }
  // As Python's: with block = false as put_nowait(), whatever the time-out.
  void put(const T& value, std::same_as<bool> auto block, Duration timeout = kForever) { put(value, block ? timeout : Duration::zero()); }
  void put_nowait(const T& value) { detail::require(put_until(value, detail::kNotAtAll)); }
  // False if there was no room.
  bool try_put(const T& value) { return detail::was_put(put_until(value, detail::kNotAtAll)); }
  // Several, from the first on, as room and time permit: how many. Cheaper than one by one.
  std::size_t put_many(std::span<const T> values, Duration timeout = kForever) {
    std::vector<std::vector<std::byte>> items(values.size());
    std::vector<std::vector<std::uint64_t>> handles(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) handles[i] = encode(values[i], items[i]);
    Laid laid(*part_, handles);
    for (std::size_t i = 0; i < values.size(); ++i) laid.stamp(i, items[i]);
    detail::put_many(*part_, items, deadline_after(timeout), laid.put);
    return laid.put;
  }
  std::size_t put_many(std::initializer_list<T> values, Duration timeout = kForever) {
    return put_many(std::span(values.begin(), values.size()), timeout);
  }

  T get() { return get(kForever); }
  T get(Duration timeout) { return *detail::require(get_until(deadline_after(timeout))); }
  T get(std::same_as<bool> auto block, Duration timeout = kForever) { return get(block ? timeout : Duration::zero()); }
  T get_nowait() { return *detail::require(get_until(detail::kNotAtAll)); }
  // Nothing if there is none, or none in time; also at the end.
  std::optional<T> try_get(Duration timeout = Duration::zero()) {
    return std::move(get_until(detail::deadline_of(timeout)).value);
  }
  // Waits for the first, then takes what is at hand, which may be fewer than there are. Empty at the end, or when the time is over.
  std::vector<T> get_many(std::size_t most, Duration timeout = kForever) {
    if constexpr (kHandles<T>) return some(most, timeout, [&](Clock::time_point deadline) { return get_until(deadline); });
    std::vector<T> values;
    detail::get_many(*part_, most, detail::deadline_of(timeout),
                     [&](std::span<const std::byte> item) { values.push_back(decode(item)); });
    return values;
  }

  // The same, with a lease.
  Leased<T> lease(Duration timeout = kForever) { return std::move(*detail::require(lease_until(deadline_after(timeout)))); }
  std::optional<Leased<T>> try_lease(Duration timeout = Duration::zero()) {
    return std::move(lease_until(detail::deadline_of(timeout)).value);
  }
  // The oldest item that was delivered too often; given back it is a dead letter again.
  std::optional<Leased<T>> take_dead_letter() {
    std::optional<Leased<T>> letter;
    if (auto item = detail::take_dead_letter(*part_)) letter.emplace(part_, item->lease, decode(item->bytes));
    return letter;
  }

  // Exact while nobody is at work.
  [[nodiscard]] std::size_t qsize() const { return detail::size_of(*part_); }
  [[nodiscard]] bool empty() const { return qsize() == 0; }
  [[nodiscard]] bool full() const { return detail::is_full(*part_); }
  [[nodiscard]] QueueCounts counts() const { return detail::counts_of(*part_); }

  // No more puts; consumers drain what is there, and wait for what other processes have leased.
  void close() { detail::close(*part_); }
  [[nodiscard]] bool closed() const { return detail::is_closed(*part_); }

  // What comes, until the queue is closed and drained. For one loop at a time.
  auto begin() { return detail::QueueIterator<BasicQueue>(*this); }
  std::default_sentinel_t end() { return {}; }

 protected:
  friend class troupe::Waitable;
  friend class detail::QueueIterator<BasicQueue>;
  std::optional<T> next() { return std::move(get_until(Clock::time_point::max()).value); }
  static constexpr QueueOrder kOrder = order;
  explicit BasicQueue(std::shared_ptr<detail::QueuePart> part) : part_(std::move(part)) {}
  [[nodiscard]] const std::shared_ptr<detail::QueuePart>& part() const { return part_; }

  template <class Value>
  struct Got {
    detail::GetOutcome outcome;
    std::optional<Value> value = {};
  };
  Got<T> get_until(Clock::time_point deadline) {
    if constexpr (kHandles<T>) return get_with_handles(deadline);
    auto& item = detail::item_buffer();
    const auto outcome = detail::get(*part_, item, deadline);
    if (outcome != detail::GetOutcome::item) return {outcome};
    return {outcome, decode(item)};
  }
  // One by one, by get_one(deadline).
  template <class GetOne>
  static std::vector<T> some(std::size_t most, Duration timeout, const GetOne& get_one) {
    std::vector<T> values;
    for (auto deadline = detail::deadline_of(timeout); values.size() < most; deadline = detail::kNotAtAll) {
      auto got = get_one(deadline);
      if (!got.value) break;
      values.push_back(std::move(*got.value));
    }
    return values;
  }
  Got<Leased<T>> lease_until(Clock::time_point deadline) {
    detail::LeasedItem item;
    const auto outcome = detail::lease(*part_, item, deadline);
    if (outcome != detail::GetOutcome::item) return {outcome};
    try {
      return {outcome, Leased<T>(part_, item.lease, decode(item.bytes))};
    } catch (...) {
      detail::settle(*part_, item.lease, false);
      throw;
    }
  }
  static T decode(std::span<const std::byte> item) {
    wire::check_receivable<T>();
    if (item.size() < prefix()) throw ProtocolError("an item of a queue that is too short");
    const Attachments handles;
    return wire::Body<T>::read(item.subspan(prefix()), &handles);
  }

 private:
  detail::PutOutcome put_until(const T& value, Clock::time_point deadline) {
    auto& item = detail::item_buffer();
    if constexpr (kHandles<T>) {
      const std::vector<std::uint64_t> handles = encode(value, item);
      Laid laid(*part_, std::span(&handles, 1));
      laid.stamp(0, item);
      const auto outcome = detail::put(*part_, item, deadline);
      laid.put = outcome == detail::PutOutcome::done ? 1 : 0;
      return outcome;
    } else {
      static_cast<void>(encode(value, item));
      return detail::put(*part_, item, deadline);
    }
  }
  // It is leased until what its handles stand for is open here: who is killed before leaves it to others.
  Got<T> get_with_handles(Clock::time_point deadline) {
    detail::LeasedItem item;
    const auto outcome = detail::lease(*part_, item, deadline);
    if (outcome != detail::GetOutcome::item) return {outcome};
    struct Over {
      ~Over() { detail::settle(part, lease, true); }
      detail::QueuePart& part;
      const detail::QueueLease& lease;
    } over{*part_, item.lease};
    return {outcome, decode(item.bytes)};
  }
  // Items with handles that are being put, which the queue keeps from now on; unless they are not put after all.
  struct Laid {
    Laid(detail::QueuePart& in, std::span<const std::vector<std::uint64_t>> handles) : part(in) {
      if constexpr (kHandles<T>) tickets = detail::lay(in, handles);
    }
    ~Laid() {
      std::vector<std::uint64_t> left;
      for (std::size_t i = put; i < tickets.size(); ++i)
        if (tickets[i] != 0) left.push_back(tickets[i]);
      if (!left.empty()) detail::over(part, left);
    }
    Laid(const Laid&) = delete;
    Laid& operator=(const Laid&) = delete;
    void stamp(std::size_t i, std::vector<std::byte>& item) const {
      if constexpr (kHandles<T>) std::memcpy(item.data() + kRank, &tickets[i], sizeof tickets[i]);
    }
    detail::QueuePart& part;
    std::vector<std::uint64_t> tickets;
    std::size_t put = 0;
  };
  // The types are those of the handle, so they need not travel with each item. Returns its handles.
  std::vector<std::uint64_t> encode(const T& value, std::vector<std::byte>& item) {
    wire::check_encodable<T>();
    wire::check_receivable<T>();
    item.resize(prefix() + wire::Body<T>::size(value));
    if constexpr (kRank != 0) {
      const std::uint64_t rank = rank_of(Priority()(value));
      std::memcpy(item.data(), &rank, sizeof rank);
    }
    Attachments attachments;
    wire::Body<T>::write(std::span(item).subspan(prefix()), &attachments, value);
    return std::move(attachments.handles);
  }

  // An item begins with its rank, if it has one; then its ticket, if it may have handles.
  template <class Item>
  static constexpr bool kHandles = [] {
    if constexpr (Encodable<Item>) return wire::Form<Item>::kHandles;
    else return false;  // which put() and get() say better
  }();
  static constexpr std::size_t kRank = order == QueueOrder::by_priority ? sizeof(std::uint64_t) : 0;
  static constexpr std::size_t ticket_end() { return kHandles<T> ? kRank + sizeof(std::uint64_t) : 0; }
  static constexpr std::size_t prefix() { return kHandles<T> ? ticket_end() : kRank; }

  std::shared_ptr<detail::QueuePart> part_;
};

// All of them travel as the number of their handle.
template <class AnyQueue>
struct QueueCodec {
  using Wire = std::uint64_t;
  static Wire pack(const AnyQueue& queue, Attachments& attachments) { return attach(*queue.part(), attachments); }
  static AnyQueue unpack(Wire id, const Attachments& attachments) {
    attachments.arrived.push_back(id);
    return AnyQueue(open_queue(id, AnyQueue::kOrder));
  }
};

}  // namespace detail

// A queue of values between any processes, as Python's multiprocessing.Queue: many producers, many consumers, first in, first out. A
// handle: copies are the same queue, also those that were arguments of a Process or items of another queue.
//
//     troupe::Queue<int> numbers(64);                  // at most so many wait; 0 or nothing: as many as there is memory for
//     troupe::Process counter(count, numbers);         // numbers.put(1); …; numbers.close();
//     for (int number : numbers) sum += number;        // ends when it is closed and drained
//
// What holds: any process may be killed at any moment, and the others go on. What was put is there, whole; what a killed producer was
// putting is there whole or not at all. An item that was got is got once; one that was leased comes back from a consumer that died,
// before all others and in its order, and after max_deliveries it is a dead letter. put() returned means it is kept as long as the queue
// is; the queue is gone when its last user is.
//
// Python's names throw Full and Empty; try_…() do not. All throw QueueClosed for a put after close(), and for a get when nothing will
// come any more; ProtocolError when a process has broken the shared memory; SystemError when there is no memory, and nothing has happened
// then; std::length_error for an item larger than 1 GiB. A get() needs no memory of the queue's, but a lease may, and with it a get() of items
// with handles, or from a JoinableQueue.
//
// Threads: any.
template <class T>
class Queue : public detail::BasicQueue<T, detail::QueueOrder::first_in> {
 public:
  using detail::BasicQueue<T, detail::QueueOrder::first_in>::BasicQueue;

 private:
  friend struct detail::QueueCodec<Queue>;
};

// The same, but last in, first out, as Python's queue.LifoQueue. An item that was leased comes back to its old place: what was put
// after it comes out before it. Overflow::drop_oldest makes it an undo stack of bounded depth.
//
// Slower than a Queue: one lock for producers and consumers.
//
// Threads: any.
template <class T>
class LifoQueue : public detail::BasicQueue<T, detail::QueueOrder::last_in> {
 public:
  using detail::BasicQueue<T, detail::QueueOrder::last_in>::BasicQueue;

 private:
  friend struct detail::QueueCodec<LifoQueue>;
};

// The same, but lowest priority number first, as Python's queue.PriorityQueue; items of equal priority come out in the order in which
// they were put, whatever else is in them (Python compares the rest, too). An item that was leased comes back to its old place.
//
//     troupe::PriorityQueue<std::pair<int, std::string>> tasks;   // by the number; see PriorityOf
//     tasks.put({2, "later"}), tasks.put({1, "soon"});
//
// The priority is read when an item is put, in the process that puts it: 64 bits, kept beside the item. There is no
// Overflow::drop_oldest here: the constructor throws ConfigError.
//
// Threads: any.
template <class T, class Priority = PriorityOf>
class PriorityQueue : public detail::BasicQueue<T, detail::QueueOrder::by_priority, Priority> {
 public:
  using detail::BasicQueue<T, detail::QueueOrder::by_priority, Priority>::BasicQueue;

 private:
  friend struct detail::QueueCodec<PriorityQueue>;
};

// As Python's: put, get and empty is all that most need.
template <class T>
class SimpleQueue {
 public:
  SimpleQueue() = default;
  void put(const T& value) { queue_.put(value); }
  T get() { return queue_.get(); }
  [[nodiscard]] bool empty() const { return queue_.empty(); }
  void close() { queue_.close(); }

 private:
  friend struct Codec<SimpleQueue>;
  friend class Waitable;
  explicit SimpleQueue(Queue<T> queue) : queue_(std::move(queue)) {}
  Queue<T> queue_;
};

// A queue whose producers can wait until all is done, as Python's: consumers say task_done() for each item that they got, in whatever
// way. Until then it is leased to them: the items of one that died go to the others, so join() always returns while there is a consumer.
// What lease() returned is done when it is acknowledged.
// JoinableQueue<T, LifoQueue<T>> and JoinableQueue<T, PriorityQueue<T>> are the same with another order.
//
// Threads: any; task_done() is for the oldest item that this process got and did not say it for yet.
template <class T, class Base = Queue<T>>
class JoinableQueue : public Base {
 public:
  using Base::Base;

  T get() { return get(kForever); }
  T get(Duration timeout) { return *detail::require(take_until(deadline_after(timeout))); }
  T get(std::same_as<bool> auto block, Duration timeout = kForever) { return get(block ? timeout : Duration::zero()); }
  T get_nowait() { return *detail::require(take_until(detail::kNotAtAll)); }
  std::optional<T> try_get(Duration timeout = Duration::zero()) {
    return std::move(take_until(detail::deadline_of(timeout)).value);
  }
  std::vector<T> get_many(std::size_t most, Duration timeout = kForever) {
    return Base::some(most, timeout, [&](Clock::time_point deadline) { return take_until(deadline); });
  }
  // Throws std::logic_error when it was said for all.
  void task_done() { detail::task_done(*this->part()); }
  // Waits until everything that was put is done. What became of it, or nothing when the time was over.
  QueueCounts join() { return *join(kForever); }
  std::optional<QueueCounts> join(Duration timeout) { return detail::join(*this->part(), detail::deadline_of(timeout)); }

  auto begin() { return detail::QueueIterator<JoinableQueue>(*this); }

 private:
  friend struct detail::QueueCodec<JoinableQueue>;
  friend class detail::QueueIterator<JoinableQueue>;
  std::optional<T> next() { return std::move(take_until(Clock::time_point::max()).value); }
  typename Base::template Got<T> take_until(Clock::time_point deadline) {
    detail::LeasedItem item;
    const auto outcome = detail::take_task(*this->part(), item, deadline);
    if (outcome != detail::GetOutcome::item) return {outcome};
    return {outcome, Base::decode(item.bytes)};
  }
};

template <class T>
struct Codec<Queue<T>> : detail::QueueCodec<Queue<T>> {
  static constexpr std::string_view name = "queue";
  using Of = T;
};
template <class T>
struct Codec<LifoQueue<T>> : detail::QueueCodec<LifoQueue<T>> {
  static constexpr std::string_view name = "lifo queue";
  using Of = T;
};
template <class T, class Priority>
struct Codec<PriorityQueue<T, Priority>> : detail::QueueCodec<PriorityQueue<T, Priority>> {
  static constexpr std::string_view name = "priority queue";
  using Of = T;
};
template <class T, class Base>
struct Codec<JoinableQueue<T, Base>> : detail::QueueCodec<JoinableQueue<T, Base>> {
  static constexpr std::string_view name = "joinable queue";
  using Of = T;
};
template <class T>
struct Codec<SimpleQueue<T>> {
  static constexpr std::string_view name = "simple queue";
  using Of = T;
  using Wire = std::uint64_t;
  static Wire pack(const SimpleQueue<T>& queue, Attachments& attachments) {
    return Codec<Queue<T>>::pack(queue.queue_, attachments);
  }
  static SimpleQueue<T> unpack(Wire id, const Attachments& attachments) {
    return SimpleQueue<T>(Codec<Queue<T>>::unpack(id, attachments));
  }
};

}  // namespace troupe
