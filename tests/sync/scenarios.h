#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "shared/slot.h"

namespace troupe::test {

// Slots of those who play.
inline constexpr shared::Slot kHelper = 0;  // the test itself
inline constexpr shared::Slot kVictim = 1;
inline constexpr shared::Slot kFirstSurvivor = 2;
inline constexpr std::size_t kSurvivors = 2;
inline constexpr std::uint32_t kUsers = 5;

// An operation during which a process is killed at each instruction, while others sleep.
struct Scenario {
  using Memory = std::span<std::byte>;
  std::string name;
  std::size_t size;                     // of the primitive
  std::function<void(Memory)> prepare;  // formats it, and is the helper meanwhile
  std::function<void(Memory)> victim;   // has two marks
  std::function<void(Memory, shared::Slot)> survivor;
  bool victim_sleeps_first = false;               // it is in the operation and asleep before the survivors come
  std::function<void(Memory)> meanwhile = {};     // by the helper, when all sleep
  std::function<void(Memory)> when_blocked = {};  // by the helper, when the victim sleeps later
  // The victim is dead and recovered, and the survivors have settled: how many must have got on by themselves?
  std::function<std::size_t(Memory)> must_have_ended = {};
  std::function<void(Memory)> finish = {};  // by the helper: then all survivors must end
  std::function<std::string(Memory)> check = {};
};

std::vector<Scenario> scenarios();

}  // namespace troupe::test
