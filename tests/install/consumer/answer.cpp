// A program of somebody else's: a function that runs in a process of its own.

#include <troupe/troupe.h>

#include <iostream>
#include <string>

int answer(std::string question) {
  std::cout << "the " << question << " is 42" << std::endl;
  return 42;
}

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);
  troupe::Process process(answer, "answer");
  process.start();
  process.join();
  return process.exitcode() == 42 ? 0 : 1;
}
