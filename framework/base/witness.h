#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace troupe::base {

// Nothing is thrown as a Witness, but whoever catches one lets somebody look at the stack before an exception that nobody nearer catches
// unwinds it.
//
//     try { … } catch (const Witness&) {} catch (const std::exception& error) { … }
struct Witness {
  virtual ~Witness();  // never defined: the type's description is ours, see witness.cpp
};

// While it lives, whoever looks does so no further than to the function that made it: what called that is known, and each frame takes time.
class LookUntilHere {
 public:
  [[gnu::always_inline]] LookUntilHere() : before_(until_) { until_ = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)); }
  ~LookUntilHere() { until_ = before_; }
  LookUntilHere(const LookUntilHere&) = delete;
  LookUntilHere& operator=(const LookUntilHere&) = delete;

  // Frames beyond that address are not looked at.
  static std::uintptr_t until() { return until_; }

 private:
  [[gnu::tls_model("initial-exec")]] static thread_local constinit std::uintptr_t until_;
  const std::uintptr_t before_;
};

// Who looks, and what he saw of the last one: where it was thrown, innermost first; he forgets it. Null where nobody does.
struct Looker {
  void (*look)() = nullptr;
  std::vector<std::string> (*take)() = nullptr;
};
extern Looker looker;

// What was seen of the exception in hand.
inline std::vector<std::string> take_stack() { return looker.take ? looker.take() : std::vector<std::string>(); }

}  // namespace troupe::base
