// The bone-eating dogs: a producer waits until all that it put is eaten.

#include <troupe/troupe.h>

#include <iostream>
#include <mutex>

using Bones = troupe::JoinableQueue<int>;

void eat(Bones bones, troupe::Value<int> eaten) {
  for ([[maybe_unused]] const int bone : bones) {
    {
      const std::scoped_lock hold(eaten.get_lock());
      ++eaten.value();
    }
    bones.task_done();
  }
}

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);
  Bones bones;
  troupe::Value<int> eaten(0);
  troupe::Process first(eat, bones, eaten);
  troupe::Process second(eat, bones, eaten);
  first.start();
  second.start();
  for (int bone = 1; bone <= 20; ++bone) bones.put(bone);
  const auto report = bones.join();
  std::cout << "eaten: " << eaten.get() << '\n';
  std::cout << "done: " << report.done << ", redelivered: " << report.redelivered << ", quarantined: " << report.quarantined
            << '\n';
  bones.close();
  first.join();
  second.join();
}
