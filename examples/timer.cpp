// A function is called a while later, unless somebody changes his mind.

#include <troupe/troupe.h>

#include <chrono>
#include <iostream>

using namespace std::chrono_literals;

int main() {
  troupe::Timer tea(
      50ms, [](const char* what) { std::cout << what << " is ready" << std::endl; }, "the tea");
  troupe::Timer alarm(1h, [] { std::cout << "the house is on fire" << std::endl; });
  tea.start();
  alarm.start();
  std::cout << "waiting" << std::endl;

  tea.join();
  alarm.cancel();
  std::cout << "no alarm: " << std::boolalpha << !alarm.is_alive() << std::endl;
}
