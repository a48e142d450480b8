// Functions run in processes of their own; what one of them does to itself harms no other.

#include <troupe/process.h>
#include <troupe/program.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

void greet(std::string_view whom, const std::vector<int>& numbers) {
  int sum = 0;
  for (int number : numbers) sum += number;
  std::cout << troupe::current_process().name << ": hello, " << whom << "! the sum is " << sum << '\n';
}

void crash() { std::abort(); }

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);

  troupe::Process greeter(greet, "world", std::vector{1, 2, 3});
  greeter.start();
  greeter.join();
  std::cout << greeter.name() << " ended with exit code " << greeter.exitcode().value() << '\n';

  troupe::Process victim(crash, troupe::ProcessOptions{.name = "victim"});
  victim.start();
  victim.join();
  std::cout << victim.name() << " was " << victim.death()->describe() << '\n';

  const std::string name = "a lambda";
  troupe::Process lambda([](const std::string& text) { std::cout << text << " is fine too\n"; }, name);
  lambda.start();
}
