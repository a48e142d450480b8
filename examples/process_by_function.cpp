// A function in each of five processes, one after the other.

#include <troupe/process.h>
#include <troupe/program.h>

#include <iostream>

void print_number(int number) { std::cout << "process number " << number << '\n'; }

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);
  for (int i = 0; i < 5; ++i) {
    troupe::Process process(print_number, i);
    process.start();
    process.join();
  }
}
