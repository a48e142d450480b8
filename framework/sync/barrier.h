#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "sync/errors.h"
#include "sync/guarded.h"

namespace troupe::sync {

struct BarrierOptions {
  std::function<void()> action =
      {};                       // run by the last party to arrive, before any is released; if it throws, the barrier breaks
  Duration timeout = kForever;  // of wait() without one
};

// threading.Barrier: all parties wait for one another, again and again.
//
//     Barrier start(memory, me);
//     start.wait();  // all are ready
//
// A user that waited once is a party; with enlist(), before that. When a party dies, inside of wait() or between two rounds, the
// barrier breaks and culprit() names it; a round that all have reached is not taken back, but the next one is broken. A user that
// finished breaks it only inside of wait(). reset() makes a broken barrier new.
//
// Threads: any.
class Barrier : public Guarded {
 public:
  static std::size_t memory_size(std::uint32_t users, std::uint32_t parties) {
    return sync::memory_size({Kind::barrier, users, parties});
  }
  static void format(std::span<std::byte> memory, std::uint32_t users, std::uint32_t parties) {
    sync::format(memory, {Kind::barrier, users, parties});
  }
  Barrier(std::span<std::byte> memory, Slot me, BarrierOptions options = {});

  // 0 to parties() - 1, each once a round. Throws BrokenBarrierError; a time-out breaks the barrier.
  std::uint32_t wait(std::optional<Duration> timeout = {});
  // Back to empty; those who wait get a BrokenBarrierError.
  void reset();
  // Breaks it.
  void abort();

  [[nodiscard]] std::uint32_t parties() const { return parties_; }
  [[nodiscard]] std::uint32_t n_waiting() const;
  [[nodiscard]] bool broken() const;
  // Whose death broke it, if that is what did.
  [[nodiscard]] std::optional<Slot> culprit() const;
  // How that was called; empty if nobody said.
  [[nodiscard]] std::string culprit_name() const;

  // `slot` is a party, even if it dies before its first wait(). For root, when it hands out the barrier, or for the party itself.
  void enlist(Slot slot);
  // For root, before it recovers `slot`: how people call the process that died. Of a longer name, the first 48 bytes.
  void name(Slot slot, std::string_view name);

 private:
  enum State : std::uint32_t { filling, acting, draining, resetting, is_broken };

  [[nodiscard]] Word& note(Slot slot) const override { return user_[slot].note; }
  void forget(Slot gone, End end) override;
  void recount() override;

  // Throws ProtocolError for what cannot be.
  [[nodiscard]] State state() const {
    const std::uint32_t state = value_of(part_->state);
    if (state > is_broken) overwritten();
    return static_cast<State>(state);
  }
  [[nodiscard]] bool leaving() const { return state() == draining || state() == resetting; }
  void be(State state) { commit(part_->state, state); }

  std::uint32_t pass(Clock::time_point deadline);
  void act();
  void come(int change);
  void end_round();
  void break_for(std::uint32_t culprit);
  [[nodiscard]] std::string name_of(Slot slot) const;
  [[noreturn]] void leave_broken();

  BarrierPart* part_ = nullptr;
  BarrierUser* user_ = nullptr;
  std::uint32_t parties_;
  BarrierOptions options_;
};

}  // namespace troupe::sync
