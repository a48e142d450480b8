// Each process has globals of its own, as they were when the Program was made.

#include <troupe/process.h>
#include <troupe/program.h>

#include <iostream>
#include <string>
#include <vector>

std::vector<std::string> animals;

void add(const std::string& animal) {
  animals.push_back(animal);
  std::cout << troupe::current_process().name << " has";
  for (const auto& each : animals) std::cout << ' ' << each;
  std::cout << '\n';
}

int main(int argc, char** argv) {
  animals.push_back("ant");
  troupe::Program program(argc, argv);
  animals.push_back("bee");  // too late for the others

  for (const char* animal : {"cat", "dog"}) {
    troupe::Process process(add, animal);
    process.start();
    process.join();
  }
  add("eel");
}
