// Blocks and messages in them, from process to process.
#include <troupe/pipe.h>

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>

#include <troupe/process.h>
#include <troupe/queue.h>
#include <troupe/sync.h>

#include "handles/shop.capnp.h"
#include "handles_support.h"
#include "support/catch.h"
#include "support/leftovers.h"

using namespace std::chrono_literals;
using namespace troupe;
using namespace handles_test;

namespace {

constexpr std::size_t kAll = std::size_t{8} << 20;
constexpr std::size_t kLarge = std::size_t{5} << 20;  // there is room for one of them
const PipeOptions kOptions{.block_bytes = kAll};

SharedMessage<shop::Picture> draw(Connection& pipe, std::size_t size, char colour) {
  return pipe.build<shop::Picture>(size + 200, [&](shop::Picture::Builder picture) {
    picture.setName("a picture");
    auto pixels = picture.initPixels(static_cast<capnp::uint>(size));
    std::fill(pixels.begin(), pixels.end(), static_cast<kj::byte>(colour));
  });
}
bool is_all(const SharedMessage<shop::Picture>& picture, char colour) {
  const auto pixels = picture->getPixels();
  return picture->getName() == "a picture" && std::all_of(pixels.begin(), pixels.end(), [&](auto byte) { return byte == colour; });
}

std::size_t pipes_of_root() {
  std::size_t count = 0;
  for (const auto& file : std::filesystem::directory_iterator("/proc/" + std::to_string(::getppid()) + "/fd")) {
    std::error_code gone;
    count += std::filesystem::read_symlink(file, gone).string().starts_with("/memfd:troupe:pipe") ? 1 : 0;
  }
  return count;
}

// All of the memory is to be had, so nobody has any of it.
void check_all_free(Connection& pipe) { CHECK(pipe.make_block(kAll).size() == kAll); }

}  // namespace

TEST_CASE("a message is built once, and read where it lies by one process after the other") {
  const test::Leftovers leftovers;
  const auto before = pipes_of_root();
  {
    auto [ours, theirs] = Pipe(kOptions);
    Process child(
        [](Connection pipe) {
          const auto picture = pipe.recv<SharedMessage<shop::Picture>>();
          pipe.send(is_all(picture, 'r'));
          Process grandchild([](Connection end, Connection answer) { answer.send(is_all(end.recv<SharedMessage<shop::Picture>>(), 'b')); }, pipe, pipe);
          grandchild.start();
          grandchild.join();
          pipe.send(picture);
        },
        theirs);
    child.start();
    theirs.close();
    auto red = draw(ours, kLarge, 'r');
    const auto* place = red->getPixels().begin();
    ours.send(red);
    CHECK(ours.recv<bool>());
    ours.send(draw(ours, 1000, 'b'));
    CHECK(ours.recv<bool>());
    const auto back = ours.recv<SharedMessage<shop::Picture>>();
    CHECK(back->getPixels().begin() == place);
    CHECK(is_all(back, 'r'));
    child.join();
    CHECK(child.exitcode() == 0);
  }
  // Root reads what this process says in order.
  Process last([] {});
  last.start();
  last.join();
  CHECK(pipes_of_root() == before);
}

TEST_CASE("blocks of plain bytes, and what does not go over a pipe") {
  auto [first, second] = Pipe(kOptions);
  auto block = first.make_block(100);
  block.bytes()[99] = std::byte{3};
  first.send(block);
  first.send(7);
  first.send(draw(first, 10, 'x'));
  first.send_bytes("bytes");
  CHECK(second.recv<Block>().bytes()[99] == std::byte{3});
  CHECK(second.try_recv<int>() == 7);
  CHECK(is_all(second.recv<SharedMessage<shop::Picture>>(), 'x'));
  CHECK(second.recv_bytes().size() == 5);
}

TEST_CASE("who expects something else than a block, or another message, is told") {
  auto [first, second] = Pipe(kOptions);
  first.send(draw(first, 10, 'x'));
  CHECK_THROWS_AS(second.recv<int>(), TypeMismatch);
  first.send(draw(first, 10, 'x'));
  CHECK_THROWS_AS(second.recv<SharedMessage<shop::Order>>(), TypeMismatch);
  first.send(1);
  CHECK_THROWS_AS(second.recv<Block>(), TypeMismatch);
  CHECK_FALSE(second.try_recv<Block>(1ms));
  check_all_free(first);
  CHECK_THROWS_AS(draw(first, kAll, 'x'), std::length_error);
  CHECK_THROWS_AS(first.build<shop::Picture>(100, [](auto picture) { picture.initPixels(1000); }), std::length_error);
  check_all_free(first);
  auto [plain, other] = Pipe();
  CHECK_THROWS_AS(plain.make_block(1), std::logic_error);
  CHECK_THROWS_AS(plain.send(first.make_block(1)), std::logic_error);
}

TEST_CASE("a block outlives the end that it came through") {
  auto [ours, theirs] = Pipe(kOptions);
  ours.send(draw(ours, 5000, 'g'));
  auto picture = theirs.recv<SharedMessage<shop::Picture>>();
  theirs.close();
  CHECK_THROWS_AS(ours.recv<int>(), EndOfFile);
  CHECK(is_all(picture, 'g'));
  ours.close();
  CHECK(is_all(picture, 'g'));
}

TEST_CASE("what a killed process held is free, and who waits for it goes on") {
  const test::Leftovers leftovers;
  auto [ours, theirs] = Pipe(kOptions);
  Event received;
  Process child(
      [](Connection pipe, Event told) {
        const auto picture = pipe.recv<SharedMessage<shop::Picture>>();
        told.set();
        pipe.recv_bytes();
        static_cast<void>(is_all(picture, ' '));
      },
      theirs, received);
  child.start();
  ours.send(draw(ours, kLarge, 'x'));
  received.wait();
  Process other([](Connection pipe) { static_cast<void>(pipe.make_block(kAll)); }, ours);
  other.start();
  child.kill();
  other.join();
  CHECK(other.exitcode() == 0);
  child.join();
  check_all_free(ours);
}

TEST_CASE("blocks that are on their way to a process that is killed are free when nobody else holds that end") {
  auto [ours, theirs] = Pipe(kOptions);
  Event sent;
  Process child([](Connection, Event all) { all.wait(), die(); }, theirs, sent);
  child.start();
  theirs.close();
  ours.send(draw(ours, kLarge, 'x'));
  sent.set();
  child.join();
  CHECK_THROWS_AS(ours.recv<int>(), EndOfFile);
  check_all_free(ours);
  CHECK_THROWS_AS(ours.send(draw(ours, 10, 'x')), BrokenPipe);
  check_all_free(ours);
}

TEST_CASE("processes that are killed again and again while they hand blocks round lose none of the memory") {
  const test::Leftovers leftovers;
  auto [ours, theirs] = Pipe(kOptions);
  for (int round = 0; round < 20; ++round) {
    Process child(
        [](Connection pipe) {
          while (true) pipe.send(pipe.recv<SharedMessage<shop::Picture>>());
        },
        theirs);
    child.start();
    for (int i = 0; i < 3; ++i) ours.send(draw(ours, 300'000, static_cast<char>('a' + i)));
    // Each that comes back is sent again; what was in its hands is lost with it.
    for (int i = 0; i < 50 + round * 7; ++i) ours.send(ours.recv<SharedMessage<shop::Picture>>());
    child.kill();
    child.join();
    for (Connection* end : {&ours, &theirs}) {
      while (auto picture = end->try_recv<SharedMessage<shop::Picture>>())
        if ((*picture)->getPixels().size() != 300'000 || !is_all(*picture, static_cast<char>((*picture)->getPixels()[0]))) FAIL("torn");
    }
    check_all_free(ours);
  }
}
