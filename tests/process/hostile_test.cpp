// Clients that break the protocol end; root and everybody else go on.

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>
#include <thread>
#include <vector>

#include "os/epoll.h"
#include "os/proc.h"
#include "os/socket.h"
#include "process/guard.h"
#include "os/memory.h"
#include "process/packet.h"
#include "queue/queue_memory.h"
#include "support/catch.h"
#include "support/child.h"
#include "support/in_flight.h"
#include "support/leftovers.h"

using troupe::Death;
namespace os = troupe::os;
namespace process = troupe::process;
using process::control::Request;

namespace {

process::Client& client() { return *process::Client::here(); }

// The connection of this process behind its client's back.
int control_socket() {
  for (int fd : os::open_descriptors()) {
    int type = 0;
    socklen_t size = sizeof type;
    if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET) return fd;
  }
  std::abort();
}

void send(std::span<const std::byte> packet, const std::vector<int>& descriptors = {}) {
  if (os::send_packet(control_socket(), packet, descriptors) != os::SendResult::sent) std::abort();
}

// Root kills whoever sent nonsense; who is still here afterwards was not found out.
[[noreturn]] void wait_for_answer() {
  while (true) ::pause();
}

template <class Number>
std::vector<std::byte> bytes_of(Number number) {
  const auto view = std::as_bytes(std::span(&number, 1));
  return {view.begin(), view.end()};
}

unsigned number_in(std::span<const std::byte> bytes) {
  unsigned number;
  std::memcpy(&number, bytes.data(), sizeof number);
  return number;
}

template <class Number = unsigned>
Death run(process::Entry entry, Number number = 0) {
  const auto id = client().start({.entry = entry, .arguments = bytes_of(number)});
  const auto death = client().join(id).value();
  client().forget(id);
  return death;
}

bool found_out(const Death& death) {
  return death.cause == Death::Cause::signalled && death.code == SIGKILL && death.detail.find("protocol") != std::string::npos;
}

int send_garbage(std::span<const std::byte>) {
  send(std::vector<std::byte>(100, std::byte{0xa5}));
  wait_for_answer();
}

int start_under_anothers_number(std::span<const std::byte>) {
  process::Outgoing<Request> request;
  auto start = request->initStart();
  start.setId(process::make_id(process::kMainSerial, 1u << 30));
  send(request.bytes());
  wait_for_answer();
}

int start_no_function(std::span<const std::byte>) {
  process::Outgoing<Request> request;
  auto start = request->initStart();
  start.setId(client().self() + 1);  // any
  start.getEntry().setModule(12345);
  send(request.bytes());
  wait_for_answer();
}

int stop_main(std::span<const std::byte>) {
  process::Outgoing<Request> request;
  request->setStop(process::kMain);
  send(request.bytes());
  wait_for_answer();
}

// A right packet with some bytes wrong. One that becomes a start names no build, so no code.
int send_mutation(std::span<const std::byte> seed) {
  std::mt19937 random(number_in(seed));
  process::Outgoing<Request> request;
  switch (random() % 5) {
    case 0: request->initRegister().setName("a name of some length"); break;
    case 1: request->initLookUp().setName("another name"); break;
    case 2: request->initConnect().setTo(process::kMain + 77); break;
    case 3: request->setDescribe(client().self()); break;
    default: request->setReady(); break;
  }
  auto bytes = std::vector(request.bytes().begin(), request.bytes().end());
  for (unsigned changes = random() % 4 + 1; changes > 0; --changes) bytes[random() % bytes.size()] = static_cast<std::byte>(random());
  if (random() % 4 == 0) bytes.resize(random() % bytes.size() + 1);
  send(bytes);
  return 0;
}

int send_too_many_descriptors(std::span<const std::byte>) {
  process::Outgoing<Request> request;
  request->setReady();
  send(request.bytes(), std::vector<int>(os::kPacketDescriptorsMax, 1));
  return 5;
}

// What handles stand for: things of others, and numbers that nobody has made.

process::ThingId thing_in(std::span<const std::byte> bytes) {
  process::ThingId thing;
  std::memcpy(&thing, bytes.data(), sizeof thing);
  return thing;
}

process::ThingId make_thing() {
  return client().create_thing(process::ThingKind::queue, troupe::queue::QueueMemory::create({.users_max = process::kThingUsersMax}));
}

process::ThingId not_made() { return process::make_id(client().serial(), 1u << 30); }

int open_what_is_not_there(std::span<const std::byte> other) {
  int refused = 0;
  for (const auto thing : {not_made(), thing_in(other) + 1'000'000, process::ThingId{0}, ~process::ThingId{0}}) {
    try {
      static_cast<void>(client().open_thing(thing));
    } catch (const troupe::SystemError&) {
      ++refused;
    }
  }
  return refused;
}

// It says in order: what it puts under the number before it is made is refused, and nothing of it is left when it is.
int open_and_make(std::span<const std::byte>) {
  const auto next = make_thing() + 1;
  try {
    static_cast<void>(client().open_thing(next));
    return 1;
  } catch (const troupe::SystemError&) {
  }
  return make_thing() == next && client().open_thing(next).slot == 0 ? 0 : 2;
}

int make_under_anothers_number(std::span<const std::byte> other) {
  process::Outgoing<Request> request;
  auto create = request->initThing().initCreate();
  create.setId(thing_in(other) + 1);
  create.setKind(1);
  send(request.bytes());
  wait_for_answer();
}

template <bool made>
int grant(std::span<const std::byte> other) {
  process::Outgoing<Request> request;
  auto grant = request->initThing().initGrant();
  grant.setTo(process::make_id(client().serial(), 1));
  grant.initThings(1).set(0, made ? thing_in(other) : not_made());
  send(request.bytes());
  if (!made) client().start({.entry = [](std::span<const std::byte>) { return 0; }});
  if (!made) return client().join(process::make_id(client().serial(), 1))->cause == Death::Cause::failed_to_start ? 0 : 1;
  wait_for_answer();
}

int grant_what_was_started(std::span<const std::byte>) {
  const auto thing = make_thing();
  const auto child = client().start({.entry = [](std::span<const std::byte>) { return 0; }});
  client().join(child);
  process::Outgoing<Request> request;
  auto grant = request->initThing().initGrant();
  grant.setTo(child);
  grant.initThings(1).set(0, thing);
  send(request.bytes());
  wait_for_answer();
}

int close_it(std::span<const std::byte> other) {
  client().close_thing(thing_in(other));
  wait_for_answer();
}
int keep_in_it(std::span<const std::byte> other) {
  client().keep_things(thing_in(other), {make_thing()});
  wait_for_answer();
}
int unkeep_in_it(std::span<const std::byte> other) {
  client().unkeep_things(thing_in(other), {make_thing()});
  wait_for_answer();
}
int lay_in_it(std::span<const std::byte> other) {
  client().lay_things(thing_in(other), std::vector<std::vector<process::ThingId>>{{make_thing()}});
  wait_for_answer();
}
int lay_it(std::span<const std::byte> other) {
  client().lay_things(make_thing(), std::vector<std::vector<process::ThingId>>{{thing_in(other)}});
  wait_for_answer();
}
int end_items_in_it(std::span<const std::byte> other) {
  client().items_over(thing_in(other), std::vector<process::Ticket>{process::make_id(process::kMainSerial, 1)});
  wait_for_answer();
}
int give_it(std::span<const std::byte> other) {
  client().give_things(process::kMain, {thing_in(other)});
  wait_for_answer();
}
int say_it_arrived_elsewhere(std::span<const std::byte> other) {
  client().things_arrived(process::kMain, {thing_in(other)});
  wait_for_answer();
}
int be_the_other_end_of_no_pipe(std::span<const std::byte> other) {
  client().create_thing(process::ThingKind::second_end, os::make_shared_memory("test", 4096), thing_in(other));
  wait_for_answer();
}

int close_and_live(std::span<const std::byte>) {
  ::close(control_socket());
  ::usleep(1000);  // root may notice before our end, or with it
  return 6;
}

int flood(std::span<const std::byte>) {
  // Nobody reads the answers, so root leaves off reading the questions.
  process::Outgoing<Request> request;
  request->initLookUp().setName("nobody");
  const int socket = control_socket();
  int sent = 0;
  const auto quiet = std::chrono::milliseconds(200);
  while (sent < 100000) {
    if (os::send_packet(socket, request.bytes()) == os::SendResult::sent) ++sent;
    else if (!os::wait_for(socket, 4 /* POLLOUT */, troupe::Clock::now() + quiet)) return 7;
  }
  return 1;
}

}  // namespace

TEST_CASE("nonsense ends who said it") {
  const troupe::test::Leftovers leftovers;
  CHECK(found_out(run(&send_garbage)));
  CHECK(found_out(run(&start_under_anothers_number)));
  CHECK(found_out(run(&start_no_function)));
  CHECK(found_out(run(&stop_main)));
}

TEST_CASE("what is not there, or not yet, is not opened, and that is all") {
  const troupe::test::Leftovers leftovers;
  const auto thing = make_thing();
  CHECK(run(&open_what_is_not_there, thing).code == 4);
  CHECK(run(&open_and_make).code == 0);
  client().close_thing(thing);
}

TEST_CASE("what a process does not use is not its own to give, to keep or to let go of") {
  const troupe::test::Leftovers leftovers;
  const auto thing = make_thing();
  const auto kept = make_thing();
  const auto given = make_thing();
  const auto tickets = client().lay_things(thing, std::vector<std::vector<process::ThingId>>{{kept}});
  client().give_things(process::kMain, {given});
  client().close_thing(kept);
  client().close_thing(given);
  for (const process::Entry entry : {&make_under_anothers_number, &grant<true>, &grant_what_was_started, &close_it, &keep_in_it,
                                     &unkeep_in_it, &lay_in_it, &lay_it, &end_items_in_it, &give_it, &be_the_other_end_of_no_pipe}) {
    const Death death = run(entry, thing);
    INFO(death.describe());
    CHECK(found_out(death));
  }
  CHECK(found_out(run(&say_it_arrived_elsewhere, given)));
  CHECK(run(&grant<false>).code == 0);
  for (const auto still : {thing, kept, given}) CHECK_NOTHROW(client().open_thing(still));
  client().items_over(thing, tickets);
  client().things_arrived(process::kMain, {given});
  for (const auto mine : {kept, given, thing, thing}) client().close_thing(mine);
  for (const auto gone : {kept, given, thing}) CHECK_THROWS_AS(client().open_thing(gone), troupe::SystemError);
}

TEST_CASE("what is odd but harmless is left alone") {
  const troupe::test::Leftovers leftovers;
  CHECK(run(&send_too_many_descriptors).code == 5);
  CHECK(run(&close_and_live).code == 6);
  CHECK(run(&flood).describe() == "exited with code 7");
}

TEST_CASE("mutated packets harm nobody else") {
  const troupe::test::Leftovers leftovers;
  const unsigned seed = std::random_device()();
  INFO("seed " << seed);
  for (unsigned i = 0; i < 300; ++i) {
    const Death death = run(&send_mutation, seed + i);
    CHECK((death.code == 0 || found_out(death)));
  }
}

TEST_CASE("root waits quietly for the kernel to let a descriptor go") {
  troupe::test::Child guard([] {
    troupe::test::be_somebody();
    static const process::Origin origin;
    const auto main = process::fork_tree(origin);
    const auto child = main->start({.entry = [](std::span<const std::byte>) -> int {
      while (true) ::pause();
    }});
    main->pid(child);
    troupe::test::InFlight in_flight;
    std::thread asker([&] { main->sentinel(child); });
    clockid_t clock{};
    ::clock_getcpuclockid(::getppid(), &clock);
    const auto used = [&] {
      timespec time{};
      ::clock_gettime(clock, &time);
      return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
    };
    const auto before = used();
    const auto begin = troupe::Clock::now();
    std::this_thread::sleep_for(std::chrono::milliseconds(300));  // in which root is to do nothing
    const bool quiet = used() - before < (troupe::Clock::now() - begin) / 2;
    in_flight.land();
    asker.join();
    main->kill(child);
    main->join(child);
    return quiet ? 0 : 1;
  });
  CHECK(guard.wait() == 0);
}

#ifndef __SANITIZE_ADDRESS__  // UBSan needs free descriptors to look at the exception that says there are none
TEST_CASE("root out of descriptors refuses starts, and goes on when there are some again") {
  troupe::test::Child guard([] {
    const rlimit few{40, 40};
    ::setrlimit(RLIMIT_NOFILE, &few);
    static const process::Origin origin;
    const auto main = process::fork_tree(origin);
    std::vector<process::ProcessId> ids;
    for (int i = 0; i < 40; ++i) {
      ids.push_back(main->start({.entry = [](std::span<const std::byte>) -> int {
        while (true) ::pause();
      }}));
    }
    // Numbers are answered in order: when root knows the last, it has tried all.
    main->pid(ids.back());
    int refused = 0;
    for (auto id : ids) {
      const auto death = main->death(id);
      if (death && death->cause == Death::Cause::failed_to_start) {
        if (!death->detail.ends_with(" (a process may have 40: see ulimit -n): Too many open files in root, which needs 3 to 6 for each process")) return 2;
        ++refused;
      } else {
        main->kill(id);
      }
    }
    for (auto id : ids) main->join(id);
    const auto again = main->start({.entry = [](std::span<const std::byte>) { return 9; }});
    return refused > 0 && refused < 40 && main->join(again)->code == 9 ? 0 : 1;
  });
  CHECK(guard.wait() == 0);
}

TEST_CASE("root out of descriptors refuses what handles stand for, and goes on when there are some again") {
  troupe::test::Child guard([] {
    const rlimit few{40, 40};
    ::setrlimit(RLIMIT_NOFILE, &few);
    static const process::Origin origin;
    const auto main = process::fork_tree(origin);
    const auto memory = os::make_shared_memory("test", 4096);
    std::vector<process::ThingId> made;
    const auto make = [&] {
      try {
        made.push_back(main->create_thing(process::ThingKind::queue, memory));
        return true;
      } catch (const troupe::SystemError& error) {
        if (error.code().value() != EMFILE) throw;
        return false;
      }
    };
    while (made.size() < 40 && make()) {
    }
    if (made.empty() || made.size() == 40 || make()) return 1;
    main->close_thing(made.back());
    return make() ? 0 : 2;
  });
  CHECK(guard.wait() == 0);
}
#endif
