// Five wait for a Condition. notify(2) lets two go on, notify_all() the rest.

#include <troupe/troupe.h>

#include <iostream>
#include <mutex>
#include <vector>

struct Gate {
  int waiting = 0;
  int tickets = 0;
};

void pass(troupe::Condition changed, troupe::RawValue<Gate> gate, troupe::Queue<int> passed) {
  const std::scoped_lock hold(changed);
  ++gate.value().waiting;
  changed.notify_all();  // main waits for that
  changed.wait_for([&] { return gate.value().tickets > 0; });
  --gate.value().tickets;
  --gate.value().waiting;
  passed.put(gate.value().waiting);
}

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);
  troupe::Condition changed;
  troupe::RawValue<Gate> gate;
  troupe::Queue<int> passed;
  std::vector<troupe::Process> people;
  for (int i = 0; i < 5; ++i) people.emplace_back(pass, changed, gate, passed);
  for (auto& person : people) person.start();
  {
    const std::scoped_lock hold(changed);
    changed.wait_for([&] { return gate.value().waiting == 5; });
    gate.value().tickets = 2;
    changed.notify(2);
  }
  passed.get();
  std::cout << "two tickets: " << passed.get() << " are left" << std::endl;
  {
    const std::scoped_lock hold(changed);
    gate.value().tickets = 3;
    changed.notify_all();
  }
  for (auto& person : people) person.join();
  std::cout << "three more: " << gate.value().waiting << " are left" << std::endl;
}
