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
#include "process/packet.h"
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

std::vector<std::byte> bytes_of(unsigned number) {
  const auto view = std::as_bytes(std::span(&number, 1));
  return {view.begin(), view.end()};
}

unsigned number_in(std::span<const std::byte> bytes) {
  unsigned number;
  std::memcpy(&number, bytes.data(), sizeof number);
  return number;
}

Death run(process::Entry entry, unsigned number = 0) {
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
      if (death && death->cause == Death::Cause::failed_to_start) ++refused;
      else main->kill(id);
    }
    for (auto id : ids) main->join(id);
    const auto again = main->start({.entry = [](std::span<const std::byte>) { return 9; }});
    return refused > 0 && refused < 40 && main->join(again)->code == 9 ? 0 : 1;
  });
  CHECK(guard.wait() == 0);
}
#endif
