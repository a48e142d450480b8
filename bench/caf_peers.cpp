#include "caf_peers.h"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/io/middleman.hpp>
#include <caf/scoped_actor.hpp>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <stdexcept>

namespace {

// What 64 bytes without pointers are to CAF.
struct Numbers {
  std::array<std::int64_t, 8> values{};
};
template <class Inspector>
typename Inspector::result_type inspect(Inspector& inspector, Numbers& numbers) {
  return inspector(caf::meta::type_name("numbers"), numbers.values);
}

using FinishAtom = caf::atom_constant<caf::atom("finish")>;

struct Config : caf::actor_system_config {
  explicit Config(int threads) {
    add_message_type<Numbers>("numbers");
    set("scheduler.policy", caf::atom("sharing"));
    set("scheduler.max-threads", threads);
  }
};

caf::behavior sink(caf::event_based_actor*) {
  return {[](const Numbers&) {}, [](FinishAtom) { return true; }};
}

// Sends the messages, then waits until the last has been taken.
caf::behavior pour(caf::event_based_actor* self, const caf::actor& to, int messages) {
  for (int i = 0; i < messages; ++i) self->send(to, Numbers{{i, i + 1}});
  self->request(to, caf::infinite, FinishAtom::value).then([self](bool) { self->quit(); });
  return {[](int) {}};
}

double rate(caf::actor_system& system, const caf::actor& to, int messages) {
  caf::scoped_actor self{system};
  const double start = bench::now();
  const auto sender = system.spawn(pour, to, messages);
  self->wait_for(sender);
  return messages / (bench::now() - start);
}

// Runs it in a process of its own: CAF starts threads.
double in_child(int cpu, const std::function<double()>& run) {
  const bench::Shared<double> result;
  bench::Child child(cpu, [&] { *result = run(); });
  child.join();
  return *result;
}

}  // namespace

double bench::caf_local_rate(const Placement& where, int messages) {
  const bool one = where.self == where.peer && where.self >= 0;
  return in_child(one ? where.self : -1, [=] {
    Config config(one ? 1 : 2);
    caf::actor_system system(config);
    const auto receiver = system.spawn(sink);
    const double result = rate(system, receiver, messages);
    caf::anon_send_exit(receiver, caf::exit_reason::user_shutdown);
    return result;
  });
}

double bench::caf_tcp_rate(int messages) {
  const Shared<std::atomic<std::uint16_t>> port;
  Child server(-1, [&] {
    Config config(1);
    config.load<caf::io::middleman>();
    caf::actor_system system(config);
    const auto published = system.middleman().publish(system.spawn(sink), 0, "127.0.0.1");
    port->store(published ? *published : 1);
    system.await_all_actors_done();
  });
  return in_child(-1, [&] {
    Config config(1);
    config.load<caf::io::middleman>();
    caf::actor_system system(config);
    while (port->load() == 0) ::usleep(1000);
    const auto receiver = system.middleman().remote_actor("127.0.0.1", *port);
    if (!receiver) throw std::runtime_error("no connection to the CAF actor");
    const double result = rate(system, *receiver, messages);
    caf::anon_send_exit(*receiver, caf::exit_reason::user_shutdown);
    return result;
  });
}
