// Messages between actors of two processes, next to CAF's within one.

#include <troupe/actor_process.h>
#include <troupe/program.h>

#include <vector>

#include "actor_bench.capnp.h"
#include "caf_peers.h"
#include "harness.h"
#include "peers.h"

namespace {

using troupe::Actor;
using troupe::Address;
using troupe::Context;

constexpr auto kLong = std::chrono::seconds(50);

std::uint64_t received = 0;  // by all receivers of this process

class Receiver : public Actor {
 public:
  explicit Receiver(Context& context) : Actor(context) {
    on<Numbers>([](Numbers::Reader numbers) { received += numbers.getA() != numbers.getB(); });
    on<Words>([](Words::Reader words) { received += words.getText().size() != 0; });
  }
};

// The first of its process: makes the receivers, and knows when they have had everything.
class Hall : public Actor {
 public:
  Hall(Context& context, int cpu, int receivers) : Actor(context) {
    bench::pin(cpu);
    for (int i = 0; i < receivers; ++i) receivers_.push_back(spawn<Receiver>());
    on<Again, Receivers>([this](Again::Reader, Receivers::Builder all) {
      auto list = all.initList(static_cast<unsigned>(receivers_.size()));
      for (unsigned i = 0; i < receivers_.size(); ++i) receivers_[i].write(list[i]);
    });
    on<Finish, Finished>([this](Finish::Reader finish, troupe::Responder<Finished> reply) {
      expected_ = finish.getMessages();
      reply_ = std::move(reply);
      look();
    });
    on<Run, Finished>([](Run::Reader, Finished::Builder) {});
  }

 private:
  void look() {
    if (received >= expected_) return reply_.reply([](Finished::Builder) {});
    after(std::chrono::microseconds(20), [this] { look(); });
  }

  std::vector<Address> receivers_;
  troupe::Responder<Finished> reply_;
  std::uint64_t expected_ = 0;
};

// Sends messages to all receivers in turn as fast as they take them; says how long that took.
class Sender : public Actor {
 public:
  Sender(Context& context, int cpu, Address hall, int messages, bool words) : Actor(context), hall_(hall), left_(messages), words_(words) {
    bench::pin(cpu);
    on<Run, Seconds>([this, messages](Run::Reader, troupe::Responder<Seconds> reply) {
      reply_ = std::move(reply);
      ask<Again, Receivers>(hall_).then([this, messages](Receivers::Reader all) {
        for (auto receiver : all.getList()) receivers_.push_back(receiver);
        start_ = bench::now();
        messages_ = static_cast<std::uint64_t>(messages);
        send_some();
      });
    });
    on<Again>([this](Again::Reader) { send_some(); });
  }

 private:
  void send_some() {
    for (int i = 0; i < 1000 && left_ > 0; ++i, --left_) {
      const Address& to = receivers_[next_];
      next_ = next_ + 1 == receivers_.size() ? 0 : next_ + 1;
      if (words_) {
        to.send<Words>([this](Words::Builder words) {
          words.setNumber(left_);
          words.setText("forty characters of text for the message");
        });
      } else {
        to.send<Numbers>([this](Numbers::Builder numbers) {
          numbers.setA(left_);
          numbers.setB(left_ + 1);
        });
      }
    }
    if (left_ > 0) return self().send<Again>();
    ask<Finish, Finished>(hall_, [this](Finish::Builder finish) { finish.setMessages(messages_); }).then([this](Finished::Reader) {
      reply_.reply([this](Seconds::Builder seconds) { seconds.setValue(bench::now() - start_); });
    });
  }

  Address hall_;
  std::vector<Address> receivers_;
  std::size_t next_ = 0;
  std::uint64_t messages_ = 0;
  int left_;
  bool words_;
  double start_ = 0;
  troupe::Responder<Seconds> reply_;
};

// Asks again and again, one question after the other.
class Asker : public Actor {
 public:
  Asker(Context& context, int cpu, Address hall, int questions) : Actor(context), hall_(hall), left_(questions) {
    bench::pin(cpu);
    on<Run, Seconds>([this](Run::Reader, troupe::Responder<Seconds> reply) {
      reply_ = std::move(reply);
      start_ = bench::now();
      next();
    });
  }

 private:
  void next() {
    ask<Run, Finished>(hall_).then([this](Finished::Reader) {
      if (--left_ > 0) return next();
      reply_.reply([this](Seconds::Builder seconds) { seconds.setValue(bench::now() - start_); });
    });
  }

  Address hall_;
  int left_;
  double start_ = 0;
  troupe::Responder<Seconds> reply_;
};

template <class A, class... Args>
double run(const bench::Placement& where, int receivers, Args... args) {
  auto hall = troupe::start_process<Hall>({.name = "hall"}, where.peer, receivers);
  auto driver = troupe::start_process<A>({.name = "driver"}, where.self, hall.address(), args...);
  const double seconds = troupe::ask<Run, Seconds>(driver.address()).get(kLong)->getValue();
  for (auto* process : {&driver, &hall}) {
    process->terminate();
    process->join();
  }
  return seconds;
}

double one_way(const bench::Placement& where, int receivers, int messages, bool words) {
  return messages / run<Sender>(where, receivers, messages, words);
}

}  // namespace

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);
  bench::Suite suite("actor", argc, argv);
  constexpr int kMessages = 3'000'000;
  constexpr int kCafMessages = 500'000;
  constexpr int kQuestions = 100'000;

  for (const auto& where : {bench::Placement::both(), bench::Placement::one()}) {
    const bool two = where.self != where.peer;
    const std::string in = ", " + where.name;
    const auto caf = [=] { return bench::caf_local_rate(where, kCafMessages); };
    suite.compare({.name = "64 B without pointers, two processes" + in, .unit = "messages/s",
                   .ours = [=] { return one_way(where, 1, kMessages, false); }, .theirs = caf,
                   .peer = "CAF within one process", .target = bench::at_least(two ? 5 : 3)});
    suite.compare({.name = "any struct, two processes" + in, .unit = "messages/s",
                   .ours = [=] { return one_way(where, 1, kMessages / 2, true); }, .theirs = caf,
                   .peer = "CAF within one process", .target = bench::at_least(2.5)});
    suite.compare({.name = "1,000 receivers, two processes" + in, .unit = "messages/s",
                   .ours = [=] { return one_way(where, 1000, kMessages, false); },
                   .theirs = [=] { return one_way(where, 1, kMessages, false); },
                   .peer = "one receiver", .target = bench::at_least(0.5)});
    const auto round_trip_us = [=] { return run<Asker>(where, 1, two ? kQuestions * 5 : kQuestions) / (two ? kQuestions * 5 : kQuestions) * 1e6; };
    if (two) {
      suite.measure({.name = "ask and reply, two processes" + in, .unit = "us", .ours = round_trip_us, .target = bench::at_most(1)});
    } else {
      suite.compare({.name = "ask and reply, two processes" + in, .unit = "us", .ours = round_trip_us,
                     .theirs = [=] { return bench::futex_round_trip_us(where, kQuestions / 2); },
                     .peer = "futex round trip", .target = bench::at_most(1.5)});
    }
  }
  suite.compare({.name = "64 B without pointers, against TCP", .unit = "messages/s",
                 .ours = [=] { return one_way(bench::Placement::both(), 1, kMessages, false); },
                 .theirs = [] { return bench::caf_tcp_rate(20'000); },
                 .peer = "CAF over TCP", .target = bench::at_least(70)});
  return suite.finish();
}
