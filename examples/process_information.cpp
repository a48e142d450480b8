// What processes know of themselves, and of one another. Numbers of processes differ from run to run, so they are compared here.

#include <troupe/process.h>
#include <troupe/program.h>

#include <iostream>
#include <string>

int report(int pid_of_main) {
  const auto self = troupe::current_process();
  const auto parent = troupe::parent_process();
  std::cout << self.name << ": my parent is " << parent->name << ", its pid is "
            << (parent->pid == pid_of_main ? "right" : "wrong") << ", I am " << (self.daemon ? "a" : "no") << " daemon\n";
  return 0;
}

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);
  const auto self = troupe::current_process();
  std::cout << self.name << ": I have " << (troupe::parent_process() ? "a" : "no") << " parent, and "
            << (troupe::cpu_count() > 0 ? "at least one CPU" : "no CPU") << '\n';

  troupe::Process first(report, self.pid);
  troupe::Process second(report, self.pid, troupe::ProcessOptions{.name = "reporter", .daemon = true});
  for (auto* process : {&first, &second}) {
    std::cout << process->name() << " before start(): pid " << (process->pid() ? "known" : "unknown") << ", alive "
              << process->is_alive() << ", exit code " << (process->exitcode() ? "known" : "unknown") << '\n';
    process->start();
    const auto pid = process->pid();
    process->join();
    std::cout << process->name() << " after join(): pid " << (pid && pid != self.pid ? "its own" : "odd") << ", alive "
              << process->is_alive() << ", exit code " << process->exitcode().value() << '\n';
  }
  std::cout << "active children: " << troupe::active_children().size() << '\n';
}
