// At its end main waits for the processes that it started, but not for daemons: those are stopped.

#include <troupe/process.h>
#include <troupe/program.h>

#include <unistd.h>

#include <iostream>
#include <stdexcept>

void serve_for_ever() {
  while (true) ::pause();
}

void start_another() {
  troupe::Process child(serve_for_ever);
  try {
    child.start();
  } catch (const std::logic_error& error) {
    std::cout << troupe::current_process().name << ": " << error.what() << '\n';
  }
}

void count_to_three() {
  for (int i = 1; i <= 3; ++i) std::cout << troupe::current_process().name << ": " << i << '\n';
}

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);

  troupe::Process apprentice(start_another, troupe::ProcessOptions{.name = "apprentice", .daemon = true});
  apprentice.start();
  apprentice.join();

  troupe::Process server(serve_for_ever, troupe::ProcessOptions{.name = "server", .daemon = true});
  server.start();
  troupe::Process counter(count_to_three, troupe::ProcessOptions{.name = "counter"});
  std::cout << server.name() << " is " << (server.daemon() ? "a" : "no") << " daemon, " << counter.name() << " is "
            << (counter.daemon() ? "a" : "no") << " daemon; main waits for neither\n";
  counter.start();
}
