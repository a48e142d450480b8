#include <troupe/sync.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <utility>

#include "handles/sync_parts.h"

namespace troupe {

namespace {

constexpr std::uint32_t kUsers = process::kThingUsersMax;

template <class Part>
std::shared_ptr<Part> make(const sync::Shape& shape) {
  const std::size_t size = sync::memory_size(shape);
  os::Descriptor memory = os::make_shared_memory("troupe:sync", size);
  sync::format(os::Mapping(memory, size).bytes(), shape);
  return program::SharedThing::create<Part>(process::ThingKind::primitive, std::move(memory));
}

// A part was made or opened, so there is a tree.
const process::Modules& functions() { return process::Client::here()->modules(); }

// Each use of a primitive: `work` on it, where it may be used. That its memory was overwritten is told to all others.
template <class Part, class Work>
auto use(Part& part, Work work) {
  part.check_here();
  try {
    return work(part);
  } catch (const ProtocolError&) {
    part.tell_broken();
    throw;
  }
}

// What the user's destructors call, which may not throw. Where it would, nothing is held that could be released.
template <class Part, class Work>
void use_quietly(Part& part, Work work) noexcept {
  try {
    use(part, work);
  } catch (const std::exception&) {
  }
}

std::uint64_t attach(const program::SharedThing& thing, Attachments& attachments) {
  thing.check_here();
  attachments.handles.push_back(thing.id());
  return thing.id();
}

template <class Handle>
struct PartOf;
template <>
struct PartOf<Lock> : std::type_identity<detail::LockPart> {};
template <>
struct PartOf<RLock> : std::type_identity<detail::LockPart> {};
template <>
struct PartOf<Semaphore> : std::type_identity<detail::SemaphorePart> {};
template <>
struct PartOf<BoundedSemaphore> : std::type_identity<detail::SemaphorePart> {};
template <>
struct PartOf<Event> : std::type_identity<detail::EventPart> {};

}  // namespace

template <class Handle>
std::uint64_t HandleCodec<Handle>::pack(const Handle& handle, Attachments& attachments) {
  return attach(*handle.part_, attachments);
}
template <class Handle>
Handle HandleCodec<Handle>::unpack(Wire id, const Attachments& attachments) {
  attachments.arrived.push_back(id);
  return Handle(program::SharedThing::open<typename PartOf<Handle>::type>(id));
}
template struct HandleCodec<Lock>;
template struct HandleCodec<RLock>;
template struct HandleCodec<Semaphore>;
template struct HandleCodec<BoundedSemaphore>;
template struct HandleCodec<Event>;

using detail::BarrierPart;
using detail::ConditionPart;
using detail::EventPart;
using detail::LockPart;
using detail::SemaphorePart;

bool AnyLock::acquire(bool block, Duration timeout) {
  return use(*part_, [&](LockPart& part) { return part.acquire(block, timeout); });
}
void AnyLock::release() {
  use(*part_, [](LockPart& part) { part.lock().release(); });
}
void AnyLock::unlock() noexcept {
  use_quietly(*part_, [](LockPart& part) { part.lock().release(); });
}
bool AnyLock::locked() const {
  return use(*part_, [](LockPart& part) { return part.lock().locked(); });
}
bool AnyLock::abandoned() const {
  return use(*part_, [](LockPart& part) { return part.lock().abandoned(); });
}

Lock::Lock() : AnyLock(make<LockPart>({sync::Kind::lock, kUsers})) {}
RLock::RLock() : AnyLock(make<LockPart>({sync::Kind::rlock, kUsers})) {}

Semaphore::Semaphore(std::uint32_t value, bool bounded)
    : part_(make<SemaphorePart>({bounded ? sync::Kind::bounded_semaphore : sync::Kind::semaphore, kUsers, value})) {}
bool Semaphore::acquire(bool block, Duration timeout) {
  return use(*part_, [&](SemaphorePart& part) { return part.semaphore.acquire(block, timeout); });
}
void Semaphore::release(std::uint32_t n) {
  use(*part_, [&](SemaphorePart& part) { part.semaphore.release(n); });
}
void Semaphore::unlock() noexcept {
  use_quietly(*part_, [](SemaphorePart& part) { part.semaphore.release(); });
}
std::uint32_t Semaphore::get_value() const {
  return use(*part_, [](SemaphorePart& part) { return part.semaphore.get_value(); });
}

Event::Event() : part_(make<EventPart>({sync::Kind::event, kUsers})) {}
bool Event::is_set() const {
  return use(*part_, [](EventPart& part) { return part.event.is_set(); });
}
void Event::set() {
  use(*part_, [](EventPart& part) { part.event.set(); });
}
void Event::clear() {
  use(*part_, [](EventPart& part) { part.event.clear(); });
}
bool Event::wait(Duration timeout) {
  return use(*part_, [&](EventPart& part) { return part.event.wait(timeout); });
}

Condition::Condition() : part_(make<ConditionPart>({sync::Kind::condition, kUsers, sync::Condition::kSeats})) {}
Condition::Condition(const AnyLock& lock) : Condition() { part_->use(lock.part_); }
bool Condition::acquire(bool block, Duration timeout) {
  return use(*part_, [&](ConditionPart& part) { return part.acquire(block, timeout); });
}
void Condition::release() {
  use(*part_, [](ConditionPart& part) { part.condition.release(); });
}
void Condition::unlock() noexcept {
  use_quietly(*part_, [](ConditionPart& part) { part.condition.release(); });
}
bool Condition::abandoned() const {
  return use(*part_, [](ConditionPart& part) { return part.condition.abandoned(); });
}
bool Condition::wait_until(Clock::time_point deadline) {
  return use(*part_, [&](ConditionPart& part) { return part.condition.wait_until(deadline); });
}
void Condition::notify(std::uint32_t n) {
  use(*part_, [&](ConditionPart& part) { part.condition.notify(n); });
}
void Condition::notify_all() {
  use(*part_, [](ConditionPart& part) { part.condition.notify_all(); });
}

Barrier::Barrier(std::uint32_t parties, Duration timeout)
    : part_(make<BarrierPart>({sync::Kind::barrier, kUsers, parties})), timeout_(timeout) {}
Barrier::Barrier(std::uint32_t parties, const detail::Call& call, Duration timeout) : Barrier(parties, timeout) {
  detail::Action action{.run = call.run, .size = static_cast<std::uint32_t>(call.bytes.size())};
  if (call.bytes.size() > sizeof action.bytes) throw std::length_error("a barrier's action may capture 32 bytes");
  std::memcpy(action.bytes.data(), call.bytes.data(), call.bytes.size());
  part_->run_last(action);
}
std::uint32_t Barrier::wait(std::optional<Duration> timeout) {
  return use(*part_, [&](BarrierPart& part) { return part.barrier.wait(timeout.value_or(timeout_)); });
}
void Barrier::reset() {
  use(*part_, [](BarrierPart& part) { part.barrier.reset(); });
}
void Barrier::abort() {
  use(*part_, [](BarrierPart& part) { part.barrier.abort(); });
}
std::uint32_t Barrier::parties() const { return part_->barrier.parties(); }
std::uint32_t Barrier::n_waiting() const {
  return use(*part_, [](BarrierPart& part) { return part.barrier.n_waiting(); });
}
bool Barrier::broken() const {
  return use(*part_, [](BarrierPart& part) { return part.barrier.broken(); });
}

Codec<Condition>::Wire Codec<Condition>::pack(const Condition& condition, Attachments& attachments) {
  const auto& lock = condition.part_->lock;
  return {attach(*condition.part_, attachments), lock ? attach(*lock, attachments) : 0};
}
Condition Codec<Condition>::unpack(Wire wire, const Attachments& attachments) {
  const auto [id, lock] = wire;
  attachments.arrived.push_back(id);
  if (lock != 0) attachments.arrived.push_back(lock);
  const auto prepare = [lock = lock](detail::ConditionPart& part) {
    if (lock != 0) part.use(program::SharedThing::open<detail::LockPart>(lock));
  };
  return Condition(program::SharedThing::open<detail::ConditionPart>(id, prepare));
}

Codec<Barrier>::Wire Codec<Barrier>::pack(const Barrier& barrier, Attachments& attachments) {
  const detail::Action& action = barrier.part_->action;
  const auto place = action.run ? functions().place_of(action.run) : process::EntryPlace{};
  return {attach(*barrier.part_, attachments), barrier.timeout_.count(), place.module, place.offset, place.build, action.size, action.bytes};
}
Barrier Codec<Barrier>::unpack(Wire wire, const Attachments& attachments) {
  const auto [id, timeout, module, offset, build, size, bytes] = wire;
  attachments.arrived.push_back(id);
  if (size > sizeof bytes) throw ProtocolError("a barrier's action of too many bytes");
  detail::Action action;
  if (size > 0) action = {functions().entry_at({module, offset, build}), size, bytes};
  const auto prepare = [&action](detail::BarrierPart& part) { part.run_last(action); };
  return {program::SharedThing::open<detail::BarrierPart>(id, prepare), Duration(timeout)};
}

namespace {

constexpr std::size_t kBlockSizeMax = std::size_t{128} << 30;

std::size_t lines_for(std::size_t size) {
  if (size == 0) throw std::invalid_argument("shared memory has a size");
  if (size > kBlockSizeMax) throw std::length_error("a block of shared memory is 128 GiB at most");
  return (size + 63) / 64;
}

}  // namespace

SharedMemory::SharedMemory(std::size_t size) : lines_(lines_for(size)), size_(size) {}
SharedMemory::SharedMemory(RawArray<Line> lines, std::size_t size) : lines_(std::move(lines)), size_(size) {
  if (lines_for(size) != lines_.size()) throw ProtocolError("a handle of shared memory of another size");
}
Codec<SharedMemory>::Wire Codec<SharedMemory>::pack(const SharedMemory& memory, Attachments& attachments) {
  return {Codec<RawArray<SharedMemory::Line>>::pack(memory.lines_, attachments), memory.size_};
}
SharedMemory Codec<SharedMemory>::unpack(Wire wire, const Attachments& attachments) {
  const auto [id, size] = wire;
  return {Codec<RawArray<SharedMemory::Line>>::unpack(id, attachments), size};
}

namespace detail {

bool acquire_or_tell(sync::AnyLock& lock, const program::SharedThing& thing, bool block, Duration timeout) {
  if (lock.acquire(false)) return true;
  if (!block || timeout <= Duration::zero()) return false;
  const auto deadline = deadline_after(timeout);
  for (Duration patience = std::chrono::seconds(1);; patience *= 2) {
    if (deadline_after(patience) >= deadline) return lock.acquire(true, std::max(Duration::zero(), Duration(deadline - Clock::now())));
    if (lock.acquire(true, patience)) return true;
    thing.tell_waiting();
  }
}

std::shared_ptr<LockPart> make_array(std::size_t count, std::uint64_t tag, bool locked) {
  if (count > std::numeric_limits<std::uint32_t>::max())
    throw std::length_error("a shared array has at most 2^32 - 1 elements");
  return make<LockPart>({locked ? sync::Kind::array : sync::Kind::raw_array, kUsers, static_cast<std::uint32_t>(count), tag});
}
std::shared_ptr<LockPart> open_array(std::uint64_t id, std::uint64_t tag) {
  auto part = program::SharedThing::open<LockPart>(id);
  if (part->shape.type != tag) throw ProtocolError("shared memory: elements of another type");
  return part;
}
std::uint64_t attach(const LockPart& array, Attachments& attachments) { return troupe::attach(array, attachments); }
std::span<std::byte> elements_of(LockPart& array) { return array.elements; }
RLock lock_of(const std::shared_ptr<LockPart>& array) { return RLock(array); }

}  // namespace detail

}  // namespace troupe
