// The same tasks through a queue that hands out the last one first, and one that hands out the most urgent one first.

#include <troupe/troupe.h>

#include <iostream>
#include <string>
#include <utility>

using Task = std::pair<int, std::string>;  // its priority: lower numbers come first

template <class Tasks>
void put_all(Tasks tasks) {
  for (const Task& task : {Task{2, "code"}, Task{3, "sleep"}, Task{1, "eat"}, Task{1, "drink"}}) tasks.put(task);
  tasks.close();
}

template <class Tasks>
void work(Tasks tasks) {
  for (const auto& [priority, name] : tasks) std::cout << "  " << priority << ' ' << name << '\n';
}

template <class Tasks>
void run(const std::string& title) {
  std::cout << title << std::endl;
  Tasks tasks;
  troupe::Process producer(put_all<Tasks>, tasks);
  producer.start();
  producer.join();
  troupe::Process worker(work<Tasks>, tasks);
  worker.start();
  worker.join();
}

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);
  run<troupe::LifoQueue<Task>>("last in, first out:");
  run<troupe::PriorityQueue<Task>>("by priority, then in the order in which they were put:");
}
