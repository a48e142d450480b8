// A library that cannot be used; BAD says how.

#include <troupe/catalog.h>

#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

namespace {

class Nobody : public troupe::Actor {
 public:
  explicit Nobody(troupe::Context& context) : Actor(context) {}
};

[[maybe_unused]] void hang() {
  while (true) pause();
}

struct AtLoad {
  AtLoad() {
#if defined(BAD_CRASHES)
    std::abort();
#elif defined(BAD_HANGS)
    hang();
#elif defined(BAD_EXITS)
    std::exit(0);
#endif
  }
} at_load;

}  // namespace

#if !defined(BAD_EMPTY)
extern "C" void troupe_actors(troupe::ActorCatalog& catalog) {
  catalog.add<Nobody>("nobody");
#if defined(BAD_THROWS)
  throw std::runtime_error("no actors today");
#elif defined(BAD_TWICE)
  catalog.add<Nobody>("nobody");
#endif
}
#endif
