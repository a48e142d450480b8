// A class says what runs in its process. It is made anew there, from the same arguments.

#include <troupe/process.h>
#include <troupe/program.h>

#include <iostream>
#include <string>

class Greeter : public troupe::Process {
 public:
  explicit Greeter(std::string whom) : Process(this, whom), whom_(std::move(whom)) {}

  void run() override { std::cout << name() << " says: hello, " << whom_ << "!\n"; }

 private:
  std::string whom_;
};

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);
  for (const char* whom : {"Ada", "Grace", "Barbara"}) {
    Greeter greeter(whom);
    greeter.start();
    greeter.join();
  }
}
