// An office whose door is an Event. Each who works there opens it for the next one.

#include <troupe/troupe.h>

#include <iostream>

void visit(troupe::Event door, troupe::Event next, int visitor) {
  door.wait();
  std::cout << "visitor " << visitor << " goes in" << std::endl;
  std::cout << "visitor " << visitor << " comes out and opens for the next" << std::endl;
  next.set();
}

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);
  troupe::Event first;
  troupe::Event second;
  troupe::Event closed;
  troupe::Process late(visit, second, closed, 2);
  troupe::Process early(visit, first, second, 1);
  late.start();
  early.start();
  std::cout << "the door is " << (first.is_set() ? "open" : "shut") << std::endl;
  first.set();
  closed.wait();
  std::cout << "the office is empty" << std::endl;
  early.join();
  late.join();
}
