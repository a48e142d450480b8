// Actors that misbehave in a chosen way, and tell on standard output what becomes of them.

#include <troupe/catalog.h>

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "actors/actors.capnp.h"

namespace troupe::test {

namespace {

// In one write, so that lines of several processes stay whole.
void say(const std::string& words) {
  const std::string line = words + "\n";
  if (write(STDOUT_FILENO, line.data(), line.size()) < 0) std::abort();
}

class Idler : public Actor {
 public:
  Idler(Context& context, IdlerArguments::Reader arguments) : Actor(context), deaf_(arguments.getDeaf()) { say(name() + " up"); }
  void on_stop() override {
    if (deaf_) return say(name() + " deaf");
    say(name() + " stopped");
    stop();
  }

 private:
  static std::string name() {
    const char* value = std::getenv("NAME");
    return value ? value : "somebody";
  }
  bool deaf_;
};

class Crasher : public Actor {
 public:
  Crasher(Context& context, CrasherArguments::Reader arguments) : Actor(context), how_(arguments.getHow()) {
    if (arguments.getEarly()) crash();
    after(Duration::zero(), [this] { crash(); });
  }

 private:
  void crash() {
    switch (how_) {
      case CrasherArguments::How::ABORT: std::abort();
      case CrasherArguments::How::EXIT:
        std::fputs("no paper left\n", stderr);
        _exit(3);
      case CrasherArguments::How::THROW: throw std::runtime_error("no such luck");
      case CrasherArguments::How::SUCCEED: return stop();
      case CrasherArguments::How::HANG:
        say("hangs");
        while (forever_) {
        }
    }
  }
  CrasherArguments::How how_;
  volatile bool forever_ = true;
};

class Greeter : public Actor {
 public:
  Greeter(Context& context, GreeterArguments::Reader arguments) : Actor(context), words_(arguments.getWords().cStr()) {
    on<Question, Answer>([this](Question::Reader, Answer::Builder answer) {
      answer.setWords(words_.c_str());
      after(std::chrono::milliseconds(1), [this] { stop(); });
    });
  }

 private:
  std::string words_;
};

class Asker : public Actor {
 public:
  Asker(Context& context, AskerArguments::Reader arguments) : Actor(context) {
    look_up(arguments.getWhom().cStr()).then([this](Address whom) {
      ask<Question, Answer>(whom).then([this](Answer::Reader answer) {
        say(answer.getWords().cStr());
        stop();
      });
    });
  }
};

}  // namespace

}  // namespace troupe::test

extern "C" void troupe_actors(troupe::ActorCatalog& catalog) {
  using namespace troupe::test;
  catalog.add<Idler, IdlerArguments>("idler");
  catalog.add<Crasher, CrasherArguments>("crasher");
  catalog.add<Greeter, GreeterArguments>("greeter");
  catalog.add<Asker, AskerArguments>("asker");
}
