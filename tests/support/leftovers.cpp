#include "support/leftovers.h"

#include <troupe/duration.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <filesystem>
#include <thread>

#include "os/proc.h"
#include "support/catch.h"

namespace troupe::test {

namespace {

std::vector<int> sorted_children() {
  auto children = os::children_of(::getpid());
  std::ranges::sort(children);
  return children;
}

std::vector<std::string> shared_files() {
  std::vector<std::string> names;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm", none)) names.push_back(entry.path().string());
  std::ranges::sort(names);
  return names;
}

template <class T>
std::vector<T> more_than(const std::vector<T>& before, const std::vector<T>& now) {
  std::vector<T> more;
  std::ranges::set_difference(now, before, std::back_inserter(more));
  return more;
}

}  // namespace

Leftovers::Leftovers() : children_(sorted_children()), descriptors_(os::open_descriptors()), shared_(shared_files()) {}

Leftovers::~Leftovers() {
  if (std::uncaught_exceptions() > 0) return;  // the test has failed already
  // A thread of ours, the node's, may still be closing what the test has seen the end of. What stays is left over.
  const auto deadline = Clock::now() + std::chrono::seconds(10);
  const auto clean = [&] {
    return more_than(children_, sorted_children()).empty() && more_than(descriptors_, os::open_descriptors()).empty();
  };
  while (!clean() && Clock::now() < deadline) std::this_thread::yield();
  CHECK(more_than(children_, sorted_children()) == std::vector<int>{});
  CHECK(more_than(descriptors_, os::open_descriptors()) == std::vector<int>{});
  CHECK(more_than(shared_, shared_files()) == std::vector<std::string>{});
}

}  // namespace troupe::test
