// One process waits for a pipe, a queue and the end of another process, all at the same time.

#include <troupe/troupe.h>

#include <iostream>
#include <string>
#include <vector>

void work(troupe::Connection results, troupe::Queue<std::string> log) {
  for (int number = 1; number <= 4; ++number) {
    log.put("number " + std::to_string(number));
    results.send(number * number);
  }
  log.close();
}

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);
  auto [results, theirs] = troupe::Pipe(false);
  troupe::Queue<std::string> log;
  troupe::Process worker(work, theirs, log);
  worker.start();
  theirs.close();

  int sum = 0;
  int lines = 0;
  std::vector<troupe::Waitable> open{results, log, worker.sentinel()};
  while (!open.empty()) {
    for (const auto& ready : troupe::wait(open)) {
      try {
        if (ready == results) {
          sum += results.recv<int>();
        } else if (ready == log) {
          log.get();
          ++lines;
        } else {
          std::erase(open, ready);
        }
      } catch (const troupe::EndOfFile&) {
        std::erase(open, ready);
      } catch (const troupe::QueueClosed&) {
        std::erase(open, ready);
      }
    }
  }
  std::cout << "sum of squares: " << sum << ", lines in the log: " << lines << ", exit code: " << *worker.exitcode() << '\n';
}
