#pragma once

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

// Who looks, and what he saw of the last one: where it was thrown, innermost first; he forgets it. Null where nobody does.
struct Looker {
  void (*look)() = nullptr;
  std::vector<std::string> (*take)() = nullptr;
};
extern Looker looker;

// What was seen of the exception in hand.
inline std::vector<std::string> take_stack() { return looker.take ? looker.take() : std::vector<std::string>(); }

}  // namespace troupe::base
