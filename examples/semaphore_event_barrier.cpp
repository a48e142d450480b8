// Twenty workers in an office with five desks. They come when the door is opened, and leave together.

#include <troupe/troupe.h>

#include <algorithm>
#include <iostream>
#include <mutex>
#include <vector>

struct Office {
  troupe::Event open;
  troupe::Semaphore desks{5};
  troupe::Barrier evening{20};
  troupe::Array<int> seated{0, 0};  // now, at most
};

void work(troupe::Event open, troupe::Semaphore desks, troupe::Barrier evening, troupe::Array<int> seated) {
  open.wait();
  {
    const std::scoped_lock desk(desks);
    {
      const std::scoped_lock hold(seated.get_lock());
      seated[1] = std::max(seated[1], ++seated[0]);
    }
    const std::scoped_lock hold(seated.get_lock());
    --seated[0];
  }
  if (evening.wait() == 0) std::cout << "all go home\n";
}

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);
  Office office;
  std::vector<troupe::Process> workers;
  for (int i = 0; i < 20; ++i) workers.emplace_back(work, office.open, office.desks, office.evening, office.seated);
  for (auto& worker : workers) worker.start();
  std::cout << "the door opens" << std::endl;
  office.open.set();
  for (auto& worker : workers) worker.join();
  std::cout << (office.seated.get(1) <= 5 ? "never more than five sat\n" : "too many sat\n");
}
