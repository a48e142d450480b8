#include "message/frame.h"

#include <troupe/address.h>
#include <troupe/errors.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "message/decode.h"
#include "message/test_messages.capnp.h"
#include "support/catch.h"

using namespace troupe;
using message::FrameHeader;
using message::Kind;
using test::Empty;
using test::Flat;
using test::Tree;

namespace {

template <class T, class Fill>
std::vector<std::byte> frame_of(Fill fill, FrameHeader header = {}) {
  return detail::build<T>(fill, [&](const detail::Payload& payload) {
    std::vector<std::byte> frame(message::frame_size(payload));
    message::write_frame(frame.data(), header, payload);
    return frame;
  });
}

// What a node does with a frame: copy it, check it, read it.
struct Received {
  explicit Received(std::span<const std::byte> frame)
      : header(message::read_header(frame)), words(frame.size() / sizeof(capnp::word)) {
    std::memcpy(words.data(), frame.data() + sizeof header, header.bytes);
    body = message::read_body(header, words.data());
    if (body.segmented) static_cast<void>(message::SegmentsReader(body));
  }
  FrameHeader header;
  std::vector<capnp::word> words;
  detail::Body body;
};

void fill_tree(Tree::Builder tree, int depth, unsigned width) {
  tree.setName("node");
  Address(1, 2, 3).write(tree.initAddress());
  if (depth == 0) return;
  auto children = tree.initChildren(width);
  for (auto child : children) fill_tree(child, depth - 1, width);
}

std::size_t count(Tree::Reader tree) {
  std::size_t sum = tree.getName() == "node" && Address(tree.getAddress()) == Address(1, 2, 3);
  for (auto child : tree.getChildren()) sum += count(child);
  return sum;
}

}  // namespace

TEST_CASE("a struct without pointers travels flat") {
  const auto frame = frame_of<Flat>([](Flat::Builder flat) {
    flat.setA(-5);
    flat.setD(true);
  });
  CHECK(frame.size() == sizeof(FrameHeader) + 8 + 24);
  const Received received(frame);
  CHECK(received.body.checked);
  detail::read<Flat>(received.body, [](Flat::Reader flat) {
    CHECK(flat.getA() == -5);
    CHECK(flat.getB() == 7);
    CHECK(flat.getD());
  });
}

TEST_CASE("what one message left behind is not in the next") {
  static_cast<void>(frame_of<Flat>([](Flat::Builder flat) { flat.setA(1); }));
  const auto flat = frame_of<Flat>([](Flat::Builder) {});
  detail::read<Flat>(Received(flat).body, [](Flat::Reader reader) { CHECK(reader.getA() == 0); });
  static_cast<void>(frame_of<Tree>([](Tree::Builder tree) { tree.setName("first"); }));
  const auto tree = frame_of<Tree>([](Tree::Builder) {});
  detail::read<Tree>(Received(tree).body, [](Tree::Reader reader) { CHECK_FALSE(reader.hasName()); });
}

TEST_CASE("a message may be built while another of its type is") {
  const auto outer = frame_of<Flat>([](Flat::Builder flat) {
    flat.setA(1);
    const auto inner = frame_of<Flat>([](Flat::Builder other) { other.setA(2); });
    detail::read<Flat>(Received(inner).body, [](Flat::Reader reader) { CHECK(reader.getA() == 2); });
  });
  detail::read<Flat>(Received(outer).body, [](Flat::Reader reader) { CHECK(reader.getA() == 1); });
  const auto tree = frame_of<Tree>([](Tree::Builder builder) {
    builder.setName("outer");
    static_cast<void>(frame_of<Tree>([](Tree::Builder other) { other.setName("inner"); }));
  });
  detail::read<Tree>(Received(tree).body, [](Tree::Reader reader) { CHECK(reader.getName() == "outer"); });
}

TEST_CASE("a struct without fields") {
  const Received received(frame_of<Empty>([](Empty::Builder) {}));
  CHECK(received.body.checked);
}

TEST_CASE("a message with pointers is one segment, a large one several") {
  const Received small(frame_of<Tree>([](Tree::Builder tree) { fill_tree(tree, 3, 3); }));
  CHECK(small.body.checked);
  CHECK_FALSE(small.body.segmented);
  detail::read<Tree>(small.body, [](Tree::Reader tree) { CHECK(count(tree) == 40); });

  const Received large(frame_of<Tree>([](Tree::Builder tree) { fill_tree(tree, 7, 4); }));
  CHECK(large.body.segmented);
  detail::read<Tree>(large.body, [](Tree::Reader tree) { CHECK(count(tree) == 21845); });
}

TEST_CASE("a fill that throws leaves nothing behind") {
  CHECK_THROWS_AS(frame_of<Flat>([](Flat::Builder flat) {
                    flat.setA(9);
                    throw std::runtime_error("no");
                  }),
                  std::runtime_error);
  const auto frame = frame_of<Flat>([](Flat::Builder) {});
  detail::read<Flat>(Received(frame).body, [](Flat::Reader flat) { CHECK(flat.getA() == 0); });
}

TEST_CASE("messages one after the other share no bytes") {
  // Small ones until the memory that they are built in has been used up several times, large ones and failures among them.
  const std::string secret = "a secret of twenty-eight bytes";
  for (int i = 0; i < 3000; ++i) {
    const std::string name(static_cast<std::size_t>(i % 50), static_cast<char>('a' + i % 26));
    const auto frame = frame_of<Tree>([&](Tree::Builder tree) {
      tree.setName("replaced");
      tree.setName(name);
      tree.initAddress().setSlot(static_cast<unsigned>(i));
    });
    const Received small(frame);
    REQUIRE(small.body.checked);
    REQUIRE(frame.size() <= sizeof(FrameHeader) + 8 * (1 + 4 + 2 + 8 + 2));
    detail::read<Tree>(small.body, [&](Tree::Reader tree) {
      REQUIRE(std::string(tree.getName()) == name);
      REQUIRE(tree.getAddress().getSlot() == static_cast<unsigned>(i));
      REQUIRE_FALSE(tree.hasData());
    });
    if (i % 100 == 50) {
      CHECK_THROWS_AS(frame_of<Tree>([&](Tree::Builder tree) {
                        tree.setName(secret);
                        throw std::runtime_error("no");
                      }),
                      std::runtime_error);
    }
    if (i % 300 != 150) continue;
    static_cast<void>(frame_of<Tree>([&](Tree::Builder tree) { tree.setName(secret); }));
    const auto large = frame_of<Tree>([&](Tree::Builder tree) { tree.initData(200000)[199999] = 1; });
    CHECK(Received(large).body.segmented);
    const auto text = std::as_bytes(std::span(secret));
    CHECK(std::search(large.begin(), large.end(), text.begin(), text.end()) == large.end());
    detail::read<Tree>(Received(large).body, [](Tree::Reader tree) {
      CHECK(tree.getData().size() == 200000);
      CHECK(tree.getData()[199999] == 1);
      CHECK_FALSE(tree.hasName());
    });
  }
}

TEST_CASE("frames that are not what they say are refused") {
  const auto good = frame_of<Flat>([](Flat::Builder flat) { flat.setA(1); });
  const auto with = [&](std::size_t at, std::uint8_t value) {
    auto bad = good;
    bad[at] = std::byte{value};
    return bad;
  };
  CHECK_THROWS_AS(Received(std::span(good).first(8)), ProtocolError);
  CHECK_THROWS_AS(Received(std::span(good).first(48)), ProtocolError);
  CHECK_THROWS_AS(Received(with(0, 3)), ProtocolError);
  CHECK_THROWS_AS(Received(with(4, 0)), ProtocolError);
  CHECK_THROWS_AS(Received(with(4, 99)), ProtocolError);
  CHECK_THROWS_AS(Received(with(4, static_cast<std::uint8_t>(Kind::pause))), ProtocolError);
  CHECK_THROWS_AS(Received(with(5, 4)), ProtocolError);
  CHECK_THROWS_AS(Received(with(6, 1)), ProtocolError);
  CHECK_THROWS_AS(Received(with(40, 4)), ProtocolError);    // the root elsewhere
  CHECK_THROWS_AS(Received(with(44, 200)), ProtocolError);  // more data than there is
  CHECK_THROWS_AS(Received(with(46, 1)), ProtocolError);    // with a pointer
}

TEST_CASE("no bytes whatever do harm") {
  std::mt19937 random(1);
  const auto tree = frame_of<Tree>([](Tree::Builder builder) { fill_tree(builder, 2, 4); });
  std::size_t refused = 0;
  for (int round = 0; round < 20000; ++round) {
    auto bad = tree;
    for (int flips = 0; flips < 3; ++flips)
      bad[40 + random() % (bad.size() - 40)] ^= std::byte{static_cast<unsigned char>(1u << random() % 8)};
    try {
      detail::read<Tree>(Received(bad).body, [](Tree::Reader reader) { count(reader); });
    } catch (const ProtocolError&) {
      ++refused;
    } catch (const kj::Exception&) {  // inside, but not of the type that the handler expects
    }
  }
  CHECK(refused > 0);
}

TEST_CASE("deaths and refusals travel") {
  const Death death{Death::Cause::signalled, 9, "while at it"};
  const auto read_back = message::with_death(death, [](const detail::Payload& payload) {
    std::vector<std::byte> frame(message::frame_size(payload));
    message::write_frame(frame.data(), FrameHeader{.kind = Kind::down}, payload);
    return message::read_death(Received(frame).body);
  });
  CHECK(read_back == death);
}

TEST_CASE("any frame can be shown as text") {
  message::Decoder decoder;
  const auto frame = frame_of<Flat>([](Flat::Builder flat) { flat.setA(3); },
                                    {.kind = Kind::request, .to_slot = 3, .to_generation = 1, .correlation = 7});
  CHECK(decoder.text(frame).find("request to 3.1 #7 @0x") == 0);
  decoder.add(capnp::Schema::from<Flat>());
  CHECK(decoder.text(frame) == "request to 3.1 #7 Flat (a = 3, b = 7, c = 0, d = false)");
  CHECK(decoder.text(std::span(frame).first(50)).find("[frame: ") == 0);
}

TEST_CASE("a kept message is its own") {
  Message<Tree> kept([](Tree::Builder tree) { fill_tree(tree, 1, 2); });
  const Message<Tree> again(kept.bytes());
  const Message<Tree> copy(*again);
  kept = Message<Tree>();
  CHECK(count(*copy) == 3);
  CHECK(copy->getChildren().size() == 2);
  CHECK_FALSE(kept->hasName());
}

TEST_CASE("an address says who it is") {
  CHECK(to_string(Address()) == "nobody");
  CHECK(to_string(Address(4, 5, 6)) == "4.5.6");
  CHECK_FALSE(Address());
  CHECK(std::hash<Address>()(Address(4, 5, 6)) != std::hash<Address>()(Address(4, 6, 5)));
}
