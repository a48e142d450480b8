#include <troupe/actor.h>
#include <troupe/errors.h>

#include <poll.h>

#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "message/frame.h"
#include "node/pair.h"
#include "node/test_actors.capnp.h"
#include "support/catch.h"
#include "transport/link.h"

using namespace troupe;
using namespace troupe::test;

namespace {

class Sum : public Actor {
 public:
  explicit Sum(Context& context) : Actor(context) {
    on<Add>([this](Add::Reader add) { total_ += add.getAmount(); });
    on<Note>([this](Note::Reader note) { total_ += static_cast<std::int64_t>(note.getText().size() + note.getData().size()); });
    on<Get, Total>([this](Get::Reader, Total::Builder total) { total.setValue(total_); });
    on<Slow, Total>([this](Slow::Reader, Responder<Total> reply) { later_.push_back(std::move(reply)); });
  }

 private:
  std::int64_t total_ = 0;
  std::vector<Responder<Total>> later_;
};

// Process 3, which writes what it likes into a link to `to`.
struct Stranger {
  Stranger(Forest& forest, std::uint64_t to) : tree(forest.tree(3)) {
    auto made = transport::make_link();
    link = std::move(made.ours);
    tree.connect(to, {}, std::move(made.theirs));
  }
  void write(std::span<const std::byte> frame) {
    std::byte* at = link->claim(frame.size());
    if (!at) return;
    std::memcpy(at, frame.data(), frame.size());
    link->commit(frame.size());
    link->flush();
  }
  ForestTree& tree;
  std::unique_ptr<transport::Transport> link;
};

std::vector<std::byte> note_to(const Address& to, message::Kind kind = message::Kind::message) {
  return detail::build<Note>(
      [](Note::Builder note) {
        note.setText("a text");
        note.initData(40);
      },
      [&](const detail::Payload& payload) {
        std::vector<std::byte> frame(message::frame_size(payload));
        message::write_frame(frame.data(), {.kind = kind, .to_slot = to.slot, .to_generation = to.generation, .correlation = 1}, payload);
        return frame;
      });
}

std::int64_t total_of(const Address& actor) { return ask<Get, Total>(actor).get(kSoon)->getValue(); }

}  // namespace

TEST_CASE("nonsense from one process does not disturb the others") {
  Pair pair;
  const Address sum = pair.spawn_there<Sum>();
  std::mt19937 random(7);
  const auto good = note_to(sum);
  for (int round = 0; round < 200; ++round) {
    Stranger stranger(pair.forest, 2);
    for (int frames = 0; frames < 20; ++frames) {
      auto bad = good;
      for (int flips = 0; flips < 2; ++flips) bad[random() % bad.size()] ^= std::byte{static_cast<unsigned char>(1u << random() % 8)};
      stranger.write(bad);
    }
  }
  // An actor whose handler met a field of another type than it expects may have ended; the node and its links go on.
  const Address other = pair.spawn_there<Sum>();
  other.send<Add>([](Add::Builder add) { add.setAmount(4); });
  CHECK(total_of(other) == 4);
}

TEST_CASE("a link of an impossible size, and more links than anybody needs, are not taken") {
  Pair pair;
  const Address sum = pair.spawn_there<Sum>();
  ForestTree& stranger = pair.forest.tree(3);
  std::vector<std::unique_ptr<transport::Transport>> ends;
  for (int i = 0; i < 100; ++i) {
    auto made = transport::make_link();
    stranger.connect(2, i % 2 == 0 ? transport::LinkOptions{.ring_bytes = 3} : transport::LinkOptions{}, std::move(made.theirs));
    ends.push_back(std::move(made.ours));
  }
  CHECK(ask<Get, Total>(sum).get(kSoon)->getValue() == 0);
  // Those not taken are closed.
  std::size_t taken = 0;
  for (const auto& end : ends) {
    pollfd lifeline{end->lifeline(), POLLIN, 0};
    taken += ::poll(&lifeline, 1, 0) == 0;
  }
  CHECK(taken == 16);
}

TEST_CASE("forged answers, pauses and watchers change nothing") {
  Pair pair;
  const Address sum = pair.spawn_there<Sum>();
  auto answer = ask<Slow, Total>(sum);
  Stranger stranger(pair.forest, 1);  // that is where the question was asked
  for (std::uint64_t index = 0; index < 64; ++index) {
    for (const auto kind : {message::Kind::reply, message::Kind::refused, message::Kind::down}) {
      auto frame = note_to({}, kind);
      const std::uint64_t correlation = std::uint64_t{1} << 32 | index;
      std::memcpy(frame.data() + offsetof(message::FrameHeader, correlation), &correlation, sizeof correlation);
      stranger.write(frame);
    }
  }
  for (const auto kind : {message::Kind::pause, message::Kind::resume, message::Kind::unmonitor}) {
    std::vector<std::byte> frame(sizeof(message::FrameHeader));
    message::write_frame(frame.data(), {.kind = kind, .to_slot = sum.slot, .to_generation = sum.generation}, message::kNothing);
    stranger.write(frame);
  }
  CHECK(total_of(sum) == 0);
  CHECK_THROWS_AS(answer.get(std::chrono::milliseconds(20)), TimeoutError);
}

TEST_CASE("who asked over a poisoned link hears of it") {
  Pair pair;
  Stranger stranger(pair.forest, 1);
  const Address sum = pair.spawn_here<Sum>();
  stranger.write(note_to(sum));
  while (total_of(sum) != 46) {
  }
  auto answer = ask<Get, Total>(Address(3, 0, 1));  // over the stranger's link
  const std::vector<std::byte> nonsense(64, std::byte{0xff});
  while (!stranger.link->peek()) {
  }
  stranger.write(nonsense);
  try {
    static_cast<void>(answer.get(kSoon));
    FAIL("answered");
  } catch (const ActorDown& down) {
    CHECK(down.death().cause == Death::Cause::unreachable);
    CHECK(down.death().detail.find("frame: ") != std::string::npos);
  }
}
