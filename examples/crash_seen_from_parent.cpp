// A child crashes; its parent goes on, and learns how and where it was.

#include <troupe/process.h>
#include <troupe/program.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>

int* volatile nowhere = nullptr;
[[gnu::noinline]] void store(int* where, int value) { *where = value; }

void use_null_pointer() { store(nowhere, 1); }
void open_nothing() { throw std::runtime_error("no such file: data.csv"); }
void give_up() { std::abort(); }
void leave() { std::exit(3); }
void eat_memory() {
  std::string memory(std::size_t{200} << 20, 'x');
  while (memory.back() == 'x') memory.back() = 'x';
}

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);

  const troupe::ProcessOptions little{.limits = {.memory_max = std::size_t{100} << 20}};
  for (auto* function : {use_null_pointer, open_nothing, give_up, leave, eat_memory}) {
    troupe::Process process(function, little);
    process.start();
    process.join();
    const auto death = process.death().value();
    std::cout << process.name() << ' '
              << (death.cause == troupe::Death::Cause::out_of_memory ? "out of memory" : death.describe());
    const bool known =
        std::ranges::any_of(death.stack, [](const auto& frame) { return frame.find("store(int*, int)") != std::string::npos; });
    std::cout << (known ? ", in store()\n" : "\n");
    std::cerr << death.report();
  }
  std::cout << "main goes on\n";
}
