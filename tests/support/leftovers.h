#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace troupe::test {

// Fails the test if this process has more at its end than at its beginning: children, zombies included, descriptors, or files in
// /dev/shm.
//
//     TEST_CASE("…") {
//       troupe::test::Leftovers leftovers;   // first, so that it looks last
//
// Threads: one.
class Leftovers {
 public:
  Leftovers();
  ~Leftovers();
  Leftovers(const Leftovers&) = delete;
  Leftovers& operator=(const Leftovers&) = delete;

 private:
  std::vector<int> children_;
  std::vector<int> descriptors_;
  std::vector<std::string> shared_;
};

}  // namespace troupe::test
