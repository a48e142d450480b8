// A process is stopped before it comes to its end by itself.

#include <troupe/process.h>
#include <troupe/program.h>

#include <unistd.h>

#include <iostream>

void work_for_ever() {
  while (true) ::pause();
}

void print(const char* when, troupe::Process& process) {
  std::cout << when << ": alive " << std::boolalpha << process.is_alive() << ", exit code ";
  if (const auto code = process.exitcode())
    std::cout << *code << '\n';
  else
    std::cout << "none yet\n";
}

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);
  troupe::Process process(work_for_ever);
  print("before start()", process);
  process.start();
  print("after start()", process);
  process.terminate();
  // Right after terminate() it may still be alive: a signal takes its time. join() settles it.
  process.join();
  print("after terminate() and join()", process);
  std::cout << process.name() << " " << process.death()->describe() << '\n';

  troupe::Process killed(work_for_ever);
  killed.start();
  killed.kill();
  killed.join();
  print("after kill() and join()", killed);
  std::cout << killed.name() << " was " << killed.death()->describe() << '\n';
}
