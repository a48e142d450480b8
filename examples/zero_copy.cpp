// A large message is built in memory that two processes share, read there by the other, and handed back: its bytes are never copied.

#include <troupe/pipe.h>
#include <troupe/process.h>
#include <troupe/program.h>

#include <iostream>

#include "zero_copy.capnp.h"

void add_up(troupe::Connection pipe) {
  const auto track = pipe.recv<troupe::SharedMessage<Track>>();
  double sum = 0;
  for (const double point : track->getPoints()) sum += point;
  pipe.send(sum);
  pipe.send(track);
}

int main(int argc, char** argv) {
  const troupe::Program program(argc, argv);
  constexpr unsigned kPoints = 1'000'000;
  // So much for all that is there at a time. It takes memory when it is used.
  auto [ours, theirs] = troupe::Pipe({.block_bytes = std::size_t{64} << 20});
  troupe::Process child(add_up, theirs);
  child.start();

  const auto track = ours.build<Track>(kPoints * sizeof(double) + 1024, [&](Track::Builder builder) {
    builder.setName("to the moon");
    auto points = builder.initPoints(kPoints);
    for (unsigned i = 0; i < kPoints; ++i) points.set(i, 0.5);
  });
  ours.send(track);
  std::cout << "sum of " << track->getName().cStr() << ": " << ours.recv<double>() << '\n';

  const auto back = ours.recv<troupe::SharedMessage<Track>>();
  std::cout << "the same bytes: " << std::boolalpha << (back.bytes().data() == track.bytes().data()) << '\n';
  child.join();
}
