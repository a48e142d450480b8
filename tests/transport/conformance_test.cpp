// What every kind of link keeps to: the contract of transport/transport.h, clause by clause.
#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "os/event.h"
#include "os/proc.h"
#include "support/catch.h"
#include "support/child.h"
#include "transport/subjects.h"

using namespace troupe;
using namespace troupe::transport;
using namespace troupe::test;

namespace {

Subject any_subject() { return GENERATE(Subject::ring, Subject::pipe, Subject::loopback); }

bool aligned(const std::byte* place) { return reinterpret_cast<std::uintptr_t>(place) % 8 == 0; }

// Sends from left to right although both are in one thread: takes turns.
Bytes carry(Ends& ends, const Bytes& bytes) {
  while (!try_send(*ends.left, bytes)) ends.left->flush();
  while (true) {
    ends.left->flush();
    if (auto received = try_receive(*ends.right)) return *received;
    ends.right->flush();
  }
}

std::vector<os::Descriptor> events(std::size_t count) {
  std::vector<os::Descriptor> descriptors;
  for (std::size_t i = 0; i < count; ++i) descriptors.push_back(os::make_event());
  return descriptors;
}

}  // namespace

TEST_CASE("frames of every size arrive whole and in order") {
  auto ends = ends_of(any_subject());
  std::uint32_t number = 0;
  for (std::size_t size = 0; size < 2000; size += 1 + size / 7) {
    const auto bytes = numbered(++number, size);
    REQUIRE(carry(ends, bytes) == bytes);
  }
  for (const std::size_t size : {1023, 1024, 1025, 2039, 2040, 2048, 4096, 5000, 8192, 100'000, 1 << 20}) {
    const auto bytes = numbered(++number, size);
    REQUIRE(carry(ends, bytes) == bytes);
  }
}

TEST_CASE("several frames wait in a link, and each is the same until it is released") {
  auto ends = ends_of(any_subject());
  for (std::uint32_t i = 0; i < 10; ++i) REQUIRE(try_send(*ends.left, numbered(i, std::size_t{8} * i)));
  ends.left->flush();
  for (std::uint32_t i = 0; i < 10; ++i) {
    const auto first = ends.right->peek();
    const auto again = ends.right->peek();
    REQUIRE(first);
    REQUIRE(again);
    CHECK(first->data() == again->data());
    CHECK(aligned(first->data()));
    CHECK(try_receive(*ends.right) == numbered(i, std::size_t{8} * i));
  }
  CHECK_FALSE(ends.right->peek());
  ends.right->release();  // of nothing
  CHECK_FALSE(ends.right->peek());
}

TEST_CASE("claimed memory is zeroed and aligned, and as much of it as is committed goes") {
  auto ends = ends_of(any_subject());
  for (int round = 0; round < 300; ++round) {
    const std::size_t size = 1 + static_cast<std::size_t>(round) * 7;
    auto* frame = ends.left->claim(size);
    REQUIRE(frame);
    REQUIRE(aligned(frame));
    REQUIRE(std::all_of(frame, frame + size, [](std::byte byte) { return byte == std::byte{0}; }));
    std::memset(frame, 0xff, size);
    ends.left->commit(size / 2);
    while (!ends.left->flush()) REQUIRE_FALSE(ends.right->peek());
    const auto received = try_receive(*ends.right);
    REQUIRE(received == Bytes(size / 2, std::byte{0xff}));
    ends.right->flush();
  }
}

TEST_CASE("a second claim replaces the first, and what is not committed never arrives") {
  auto ends = ends_of(any_subject());
  REQUIRE(ends.left->claim(1000));
  auto* frame = ends.left->claim(1);
  REQUIRE(frame);
  *frame = std::byte{7};
  ends.left->flush();
  CHECK_FALSE(ends.right->peek());
  ends.left->commit(1);
  ends.left->flush();
  CHECK(try_receive(*ends.right) == Bytes{std::byte{7}});
  CHECK_FALSE(ends.right->peek());
}

TEST_CASE("a frame over the limit is refused") {
  auto ends = ends_of(any_subject());
  CHECK_THROWS_AS(ends.left->claim(ends.left->frame_size_max() + 1), std::length_error);
  const auto bytes = numbered(1, 10);
  CHECK(carry(ends, bytes) == bytes);
}

TEST_CASE("a full link says so, and nothing is lost when there is room again") {
  auto ends = ends_of(any_subject());
  const std::size_t size = GENERATE(0, 64, 500, 3000, 70'000);
  std::uint32_t sent = 0;
  std::uint32_t received = 0;
  for (int round = 0; round < 5; ++round) {
    while (sent - received < 100'000 && try_send(*ends.left, numbered(sent, size))) ++sent;
    CHECK(sent - received < 100'000);  // bounded, even for empty frames
    ends.left->flush();
    while (auto bytes = try_receive(*ends.right)) REQUIRE(*bytes == numbered(received++, size));
    ends.right->flush();
  }
  while (received < sent) {
    ends.left->flush();
    while (auto bytes = try_receive(*ends.right)) REQUIRE(*bytes == numbered(received++, size));
    ends.right->flush();
  }
  CHECK(ends.left->flush());
}

TEST_CASE("descriptors arrive with their frame, and none is left over") {
  const auto before = os::open_descriptors();
  {
    auto ends = ends_of(any_subject());
    const std::size_t size = GENERATE(0, 10, 1000, 20'000);
    for (std::size_t count = 0; count <= Transport::kDescriptorsMax; ++count) {
      const auto bytes = numbered(static_cast<std::uint32_t>(count), size);
      if (count % 2 == 0) ends.left->attach(events(count));
      auto* frame = ends.left->claim(size);
      REQUIRE(frame);
      std::copy(bytes.begin(), bytes.end(), frame);
      if (count % 2 != 0) ends.left->attach(events(count));  // also between claim() and commit()
      ends.left->commit(size);
      std::optional<std::span<const std::byte>> received;
      while (!(received = ends.right->peek())) {
        ends.left->flush();
        ends.right->flush();
      }
      CHECK(std::ranges::equal(*received, bytes));
      CHECK(ends.right->peek());
      if (count % 3 == 0) {
        const auto descriptors = ends.right->take_descriptors();
        CHECK(descriptors.size() == count);
        CHECK(std::ranges::all_of(descriptors, os::is_event));
      }
      ends.right->release();
      CHECK(ends.right->take_descriptors().empty());
      ends.right->flush();
    }
    CHECK_THROWS_AS(ends.left->attach(events(Transport::kDescriptorsMax + 1)), std::length_error);
  }
  CHECK(os::open_descriptors() == before);
}

TEST_CASE("many frames with descriptors wait for one another") {
  auto ends = ends_of(any_subject(), 65'536);
  const auto descriptors = events(1);
  std::uint32_t sent = 0;
  std::uint32_t received = 0;
  while (received < 1500) {
    while (sent < 1500) {
      std::vector<os::Descriptor> copies;
      copies.push_back(descriptors[0].duplicate());
      auto* frame = ends.left->claim(4);
      if (!frame) break;
      ends.left->attach(std::move(copies));
      std::memcpy(frame, &sent, 4);
      ends.left->commit(4);
      ++sent;
      if (sent % 400 == 0) break;
    }
    ends.left->flush();
    while (auto frame = ends.right->peek()) {
      REQUIRE(std::memcmp(frame->data(), &received, 4) == 0);
      REQUIRE(ends.right->take_descriptors().size() == 1);
      ends.right->release();
      ++received;
    }
    ends.right->flush();
  }
}

TEST_CASE("what was committed before the end is received, then the link is closed") {
  const auto before = os::open_descriptors();
  {
    auto ends = ends_of(any_subject());
    for (std::uint32_t i = 0; i < 5; ++i) REQUIRE(try_send(*ends.left, numbered(i, 100)));
    ends.left->attach(events(2));
    REQUIRE(try_send(*ends.left, numbered(5, 100)));
    ends.left.reset();
    Waiter waiter(*ends.right);
    for (std::uint32_t i = 0; i < 6; ++i) {
      CHECK_FALSE(ends.right->closed());
      CHECK(receive(*ends.right, waiter) == numbered(i, 100));
    }
    CHECK_FALSE(receive(*ends.right, waiter));
    CHECK(ends.right->closed());
    CHECK_FALSE(ends.right->arm());
  }
  CHECK(os::open_descriptors() == before);
}

TEST_CASE("sending to a peer that is gone goes nowhere, without an error") {
  auto ends = ends_of(any_subject());
  ends.right.reset();
  Waiter waiter(*ends.left);
  for (std::uint32_t i = 0; i < 2000; ++i) {
    if (i % 100 == 0) ends.left->attach(events(3));
    while (!try_send(*ends.left, numbered(i, i % 50 == 0 ? 50'000 : 100))) waiter.wait();
    ends.left->flush();
  }
  while (!ends.left->closed()) {
    CHECK_FALSE(ends.left->peek());
    waiter.wait();
  }
  CHECK(try_send(*ends.left, numbered(1, 100)));
}

TEST_CASE("a peer said to be dead gets nothing more") {
  auto ends = ends_of(any_subject());
  REQUIRE(try_send(*ends.right, numbered(1, 10)));
  ends.right->flush();
  ends.left->hang_up();
  CHECK(try_send(*ends.left, numbered(2, 10)));
  CHECK(ends.left->flush());
  CHECK_FALSE(ends.right->peek());
  CHECK(try_receive(*ends.left) == numbered(1, 10));
  CHECK_FALSE(ends.left->peek());
  CHECK(ends.left->closed());
}

TEST_CASE("who armed is woken by a frame, by room and by the end; who has something to do is told not to sleep") {
  auto ends = ends_of(any_subject());
  Waiter waiter(*ends.right);
  const auto soon = [] { return deadline_after(std::chrono::seconds(20)); };
  waiter.wait(soon());  // an event at the beginning means nothing
  CHECK_FALSE(ends.right->peek());

  CHECK(ends.right->arm());
  REQUIRE(try_send(*ends.left, numbered(1, 10)));
  ends.left->flush();
  ends.right->disarm();
  CHECK_FALSE(ends.right->arm());  // a frame is there
  CHECK(try_receive(*ends.right) == numbered(1, 10));

  std::uint32_t sent = 0;
  while (try_send(*ends.right, numbered(sent, 100))) ++sent;
  CHECK(ends.right->arm());
  for (std::uint32_t i = 0; i < sent; ++i) {
    while (!ends.left->peek()) ends.right->flush();
    CHECK(try_receive(*ends.left) == numbered(i, 100));
  }
  ends.left->flush();
  ends.right->disarm();
  CHECK_FALSE(ends.right->arm());  // room has come
  CHECK(try_send(*ends.right, numbered(9, 100)));

  ends.left.reset();
  while (!ends.right->closed()) {
    (void)ends.right->peek();
    REQUIRE(waiter.wait(soon()));
  }
}

TEST_CASE("who fills a link that he has armed is woken when there is room") {
  auto ends = ends_of(any_subject());
  const std::size_t size = GENERATE(100, 3000);
  os::Epoll epoll;
  std::array<epoll_event, 1> room;
  epoll.add(ends.left->descriptor(), Transport::kDescriptorEvents, 0);
  REQUIRE(ends.left->arm());
  (void)epoll.wait(room, Clock::now());
  while (try_send(*ends.left, numbered(1, size))) {
  }
  ends.left->flush();
  for (int i = 0; i < 3; ++i) (void)epoll.wait(room, Clock::now());  // what came while there was still room
  for (int i = 0; i < 1000; ++i) {
    while (try_receive(*ends.right)) {
    }
    ends.right->flush();
  }
  CHECK_FALSE(epoll.wait(room, deadline_after(std::chrono::seconds(20))).empty());
  ends.left->disarm();
  CHECK(try_send(*ends.left, numbered(1, size)));
}

TEST_CASE("two processes that sleep between frames never miss one") {
  const auto subject = any_subject();
  if (subject == Subject::loopback) return;
  auto link = make_link(options_of(subject));
  constexpr std::uint32_t kTrips = 5'000;
  Child child([&] {
    link.ours.reset();
    auto end = join_link(options_of(subject), std::move(link.theirs));
    Waiter waiter(*end);
    while (auto bytes = receive(*end, waiter)) {
      send(*end, waiter, *bytes);
      end->flush();
    }
    return 7;
  });
  link.theirs.clear();
  Waiter waiter(*link.ours);
  for (std::uint32_t i = 0; i < kTrips; ++i) {
    const auto bytes = numbered(i, i % 100);
    send(*link.ours, waiter, bytes);
    link.ours->flush();
    REQUIRE(receive(*link.ours, waiter) == bytes);
  }
  link.ours.reset();
  CHECK(child.wait() == 7);
}

namespace {

// Sends `count` numbered frames and receives as many, whichever goes, asleep when neither does.
bool exchange(Transport& link, std::uint32_t count, std::size_t size_max) {
  Waiter waiter(link);
  const auto frame = [&](std::uint32_t i) { return numbered(i, (std::size_t{37} * i) % size_max); };
  std::uint32_t sent = 0;
  std::uint32_t received = 0;
  while (true) {
    while (sent < count && try_send(link, frame(sent))) ++sent;
    while (auto bytes = try_receive(link)) {
      if (*bytes != frame(received++)) return false;
    }
    link.flush();
    if (sent == count && received == count) break;
    if (link.closed()) return false;
    waiter.wait();
  }
  while (!link.flush()) waiter.wait();
  return true;
}

}  // namespace

TEST_CASE("two processes that fill each other's links never wedge") {
  const auto subject = any_subject();
  if (subject == Subject::loopback) return;
  auto link = make_link(options_of(subject));
  const std::size_t size_max = GENERATE(100, 9000);
  const std::uint32_t count = size_max == 100 ? 30'000 : 2'000;
  Child child([&] {
    link.ours.reset();
    auto end = join_link(options_of(subject), std::move(link.theirs));
    if (!exchange(*end, count, size_max)) return 1;
    Waiter waiter(*end);
    while (!end->closed()) waiter.wait();  // stay until the other has all
    return 7;
  });
  link.theirs.clear();
  CHECK(exchange(*link.ours, count, size_max));
  link.ours.reset();
  CHECK(child.wait() == 7);
}

TEST_CASE("two threads that fill each other's links never wedge") {
  auto ends = ends_of(any_subject());
  bool right = false;
  std::thread thread([&] { right = exchange(*ends.right, 5'000, 300); });
  const bool left = exchange(*ends.left, 5'000, 300);
  thread.join();
  CHECK(left);
  CHECK(right);
}

TEST_CASE("of a peer that is killed whole frames arrive, in order, and then the end") {
  const auto subject = any_subject();
  if (subject == Subject::loopback) return;
  const auto before = os::open_descriptors();
  std::minstd_rand random(20);
  for (int round = 0; round < 30; ++round) {
    auto link = make_link(options_of(subject));
    const auto frame = [](std::uint32_t i) {
      return numbered(i, i % 20 == 0 ? std::size_t{9'000} : (std::size_t{37} * i) % 300);
    };
    Child child([&] {
      link.ours.reset();
      auto end = join_link(options_of(subject), std::move(link.theirs));
      Waiter waiter(*end);
      for (std::uint32_t i = 0;; ++i) {
        if (i % 7 == 0) end->attach(events(2));
        send(*end, waiter, frame(i));
        if (i % 5 == 0) end->flush();
      }
      return 0;
    });
    link.theirs.clear();
    Waiter waiter(*link.ours);
    const std::uint32_t kill_at = random() % 200;
    std::uint32_t received = 0;
    while (auto bytes = receive(*link.ours, waiter)) {
      REQUIRE(*bytes == frame(received));
      if (received++ == kill_at) child.kill(SIGKILL);
    }
    CHECK(received > kill_at);
    CHECK(child.wait() == -SIGKILL);
  }
  CHECK(os::open_descriptors() == before);
}

TEST_CASE("a sender is told by the end when its peer is killed while the link is full") {
  const auto subject = any_subject();
  if (subject == Subject::loopback) return;
  auto link = make_link(options_of(subject));
  Child child([&] {
    link.ours.reset();
    auto end = join_link(options_of(subject), std::move(link.theirs));
    Waiter waiter(*end);
    if (!receive(*end, waiter)) return 1;
    raise(SIGKILL);
    return 0;
  });
  link.theirs.clear();
  Waiter waiter(*link.ours);
  for (std::uint32_t i = 0; i < 10'000; ++i) send(*link.ours, waiter, numbered(i, 100));
  CHECK(link.ours->flush());
  while (!link.ours->closed()) {
    CHECK_FALSE(link.ours->peek());
    waiter.wait();
  }
  CHECK(child.wait() == -SIGKILL);
}
