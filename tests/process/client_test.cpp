// Names, links and their ends, as a node hears of them.

#include "process/client.h"

#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <map>
#include <string>
#include <thread>

#include "os/epoll.h"
#include "os/socket.h"
#include "support/catch.h"
#include "support/leftovers.h"

using troupe::Address;
using troupe::Death;
namespace os = troupe::os;
namespace process = troupe::process;
namespace transport = troupe::transport;

namespace {

process::Client& client() { return *process::Client::here(); }

struct Recorder final : process::ClientEvents {
  struct Offer {
    transport::LinkOptions options;
    std::vector<os::Descriptor> ends;
  };
  std::map<process::ProcessId, Offer> offers;
  std::map<process::ProcessId, Death> downs;
  std::map<std::uint64_t, Address> found_ones;
  std::map<std::uint64_t, Death> not_found_ones;

  void offered(process::ProcessId from, const transport::LinkOptions& options, std::vector<os::Descriptor> ends) override {
    offers[from] = {options, std::move(ends)};
  }
  void down(process::ProcessId process, const Death& death) override { downs[process] = death; }
  void found(std::uint64_t question, const Address& place, const transport::LinkOptions&) override { found_ones[question] = place; }
  void not_found(std::uint64_t question, const Death& why) override { not_found_ones[question] = why; }

  // Pumps until `condition`, for 10 s at most.
  template <class Condition>
  void until(Condition condition) {
    const auto deadline = troupe::Clock::now() + std::chrono::seconds(10);
    while (!condition()) {
      REQUIRE(os::wait_for(client().descriptor(), POLLIN, deadline));
      client().pump(*this);
    }
  }
};

int offer_and_end(std::span<const std::byte>) {
  auto [ours, theirs] = os::socket_pair(os::SocketKind::stream);
  std::vector<os::Descriptor> ends;
  ends.push_back(std::move(theirs));
  client().connect(process::kMain, {.kind = transport::Kind::pipe, .ring_bytes = 4096}, std::move(ends));
  return ::write(ours.get(), "hello", 5) == 5 ? 3 : 1;
}

int take_name_and_sleep(std::span<const std::byte>) {
  client().register_name("sleeper", {0, 7, 8});
  while (true) ::pause();
}

}  // namespace

TEST_CASE("a link is offered with what was written into it, and its end is told after") {
  Recorder recorder;
  const auto id = client().start({.entry = &offer_and_end});
  recorder.until([&] { return recorder.downs.contains(id); });
  REQUIRE(recorder.offers.contains(id));
  CHECK(recorder.offers[id].options.kind == transport::Kind::pipe);
  CHECK(recorder.offers[id].options.ring_bytes == 4096);
  char text[5];
  CHECK(::read(recorder.offers[id].ends.at(0).get(), text, 5) == 5);
  CHECK(std::string(text, 5) == "hello");
  CHECK(recorder.downs[id] == Death{Death::Cause::exited, 3, ""});
  CHECK(client().join(id)->code == 3);
}

TEST_CASE("who wants a link to the dead hears how they ended") {
  Recorder recorder;
  const auto id = client().start({.entry = [](std::span<const std::byte>) { return 9; }});
  client().join(id);
  client().connect(id, {}, {});
  recorder.until([&] { return recorder.downs.contains(id); });
  CHECK(recorder.downs[id] == Death{Death::Cause::exited, 9, ""});
  client().connect(process::make_id(99, 99), {}, {});
  recorder.until([&] { return recorder.downs.contains(process::make_id(99, 99)); });
  CHECK(recorder.downs[process::make_id(99, 99)].cause == Death::Cause::unreachable);
}

TEST_CASE("who wants a link to a process that root has not heard of yet gets it") {
  const auto before = client().start({.entry = [](std::span<const std::byte>) { return 0; }});
  const auto next = before + 1;
  auto [ours, theirs] = os::socket_pair(os::SocketKind::stream);
  std::vector<os::Descriptor> ends;
  ends.push_back(std::move(theirs));
  client().connect(next, {.kind = transport::Kind::pipe, .ring_bytes = 4096}, std::move(ends));
  const auto id = client().start({.entry = [](std::span<const std::byte>) {
    Recorder recorder;  // whose until() is for the test's own process
    while (!recorder.offers.contains(process::kMain)) {
      if (!os::wait_for(client().descriptor(), POLLIN, troupe::Clock::now() + std::chrono::seconds(10))) return 1;
      client().pump(recorder);
    }
    return ::write(recorder.offers[process::kMain].ends.at(0).get(), "hello", 5) == 5 ? 3 : 1;
  }});
  REQUIRE(id == next);
  CHECK(client().join(id)->code == 3);
  char text[5];
  CHECK(::read(ours.get(), text, 5) == 5);
  Recorder recorder;
  recorder.until([&] { return recorder.downs.contains(id); });
  client().join(before);
}

TEST_CASE("what a client said before root's packet to it was read is heard") {
  // The child's last words lie in the socket when it ends with a notice unread.
  const auto id = client().start({.entry = [](std::span<const std::byte>) -> int {
    client().look_up(1, "nobody");
    client().last_words("disk full");
    os::wait_for(client().descriptor(), POLLIN, troupe::Clock::time_point::max());
    ::_exit(3);
  }});
  CHECK(client().join(id).value() == Death{Death::Cause::exited, 3, "disk full"});
}

TEST_CASE("a name is found while its process lives, and its death after") {
  Recorder recorder;
  client().look_up(1, "sleeper");
  recorder.until([&] { return recorder.not_found_ones.contains(1); });
  CHECK(recorder.not_found_ones[1].cause == Death::Cause::unreachable);

  const auto id = client().start({.entry = &take_name_and_sleep});
  for (std::uint64_t question = 2; !recorder.found_ones.contains(question - 1); ++question) {
    client().look_up(question, "sleeper");
    recorder.until([&] { return recorder.found_ones.contains(question) || recorder.not_found_ones.contains(question); });
  }
  CHECK(recorder.found_ones.begin()->second == Address{id, 7, 8});
  client().kill(id);
  client().join(id);
  client().look_up(100000, "sleeper");
  recorder.until([&] { return recorder.not_found_ones.contains(100000); });
  CHECK(recorder.not_found_ones[100000] == Death{Death::Cause::signalled, SIGKILL, ""});
}

TEST_CASE("news that another thread read is not lost to the one that pumps") {
  Recorder recorder;
  static_cast<void>(client().descriptor());
  const auto id = client().start({.entry = &offer_and_end});
  client().join(id);  // reads the offer as well
  recorder.until([&] { return recorder.offers.contains(id) && recorder.downs.contains(id); });
}

TEST_CASE("a thread that reads what another waits for wakes it") {
  Recorder recorder;
  static_cast<void>(client().descriptor());
  const auto other = client().start({.entry = &take_name_and_sleep});
  for (int i = 0; i < 300; ++i) {
    const auto id = client().start({.entry = [](std::span<const std::byte>) { return 3; }});
    std::atomic<bool> joined = false;
    std::thread joiner([&] {
      CHECK(client().join(id)->code == 3);
      joined = true;
    });
    // Reads all there is, over and over: as is_alive() does, and as a node does.
    while (!joined) {
      if (i % 2 == 0) client().death(other);
      else client().pump(recorder);
    }
    joiner.join();
    client().forget(id);
  }
  client().kill(other);
  client().join(other);
}
