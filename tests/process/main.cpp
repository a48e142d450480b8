// The tests run as main of a tree: what they start are children of its root.

#define CATCH_CONFIG_RUNNER
#include "process/guard.h"
#include "support/catch.h"
#include "support/wait_for_root.h"

// As many as Program found.
std::size_t descriptors_at_start = 0;

int main(int argc, char** argv) {
  static const troupe::process::Origin origin;
  descriptors_at_start = origin.descriptors.size();
  const auto client = troupe::process::fork_tree(origin);
  troupe::test::wait_for_root(*client);
  return Catch::Session().run(argc, argv);
}
