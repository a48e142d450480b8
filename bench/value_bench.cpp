// Values to bytes and back, against copying the same bytes and against Python's pickle.
#include <troupe/value.h>

#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "harness.h"

namespace {

struct Order {
  std::int64_t id = 77;
  std::string customer = "Ann Example";
  double price = 12.5;
  std::vector<int> items = {1, 2, 3, 4};
  std::optional<std::string> note;
};

// Nanoseconds a call of `work`, over enough calls for 0.1 s or so.
template <class Work>
double nanoseconds(Work work) {
  for (int calls = 1000;; calls *= 4) {
    const double start = bench::now();
    for (int i = 0; i < calls; ++i) work();
    const double took = bench::now() - start;
    if (took > 0.05) return took / calls * 1e9;
  }
}

template <class T>
double encode_ns(const T& value) {
  alignas(8) static std::byte room[1 << 16];
  return nanoseconds([&] {
    bench::keep(value);
    const std::size_t size = troupe::encoded_size(value);
    troupe::encode_to({room, size}, nullptr, value);
    bench::keep(room);
  });
}

template <class T>
double decode_ns(const T& value) {
  const auto bytes = troupe::encode_values(value);
  return nanoseconds([&] {
    bench::keep(*bytes.data());
    bench::keep(troupe::decode_value<T>(bytes));
  });
}

template <class T>
double both_ways_ns(const T& value) {
  return nanoseconds([&] { bench::keep(troupe::decode_value<T>(troupe::encode_values(value))); });
}

// What it costs to copy what `bytes` holds into place, and out again into a vector.
double copy_in_ns(const std::vector<std::byte>& bytes) {
  alignas(8) static std::byte room[1 << 16];
  return nanoseconds([&] {
    bench::keep(bytes);
    std::memcpy(room, bytes.data(), bytes.size());
    bench::keep(room);
  });
}
double copy_out_ns(const std::vector<std::byte>& bytes) {
  return nanoseconds([&] { bench::keep(std::vector<std::byte>(bytes)); });
}

// Nanoseconds a pickle.loads(pickle.dumps(value)) of a Python expression.
double pickle_ns(const std::string& value) {
  const std::string script =
      "import pickle, timeit\nv = " + value +
      "\nn, took = timeit.Timer(lambda: pickle.loads(pickle.dumps(v, -1))).autorange()\nprint(took / n * 1e9)";
  const std::string command = "PATH=/usr/bin:$PATH python3 -c '" + script + "' 2>/dev/null";
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> output(popen(command.c_str(), "r"), &pclose);
  double result = 0;
  if (!output || std::fscanf(output.get(), "%lf", &result) != 1) throw std::runtime_error("python3 did not answer");
  return result;
}

const std::vector<std::byte> kItem(64, std::byte{7});
const std::vector<double> kNumbers(100'000, 1.5);
const std::map<std::string, int> kWords = [] {
  std::map<std::string, int> words;
  for (int i = 0; i < 1000; ++i) words["word" + std::to_string(i)] = i;
  return words;
}();

}  // namespace

int main(int argc, char** argv) {
  bench::Suite suite("value", argc, argv);
  suite.measure(
      {.name = "int, encode in place", .unit = "ns", .ours = [] { return encode_ns(3); }, .target = bench::at_most(10)});
  suite.measure({.name = "int, decode", .unit = "ns", .ours = [] { return decode_ns(3); }, .target = bench::at_most(10)});
  suite.compare({.name = "64 B of bytes, encode in place",
                 .unit = "ns",
                 .ours = [] { return encode_ns(kItem); },
                 .theirs = [] { return copy_in_ns(kItem); },
                 .peer = "memcpy"});
  suite.compare({.name = "64 B of bytes, decode",
                 .unit = "ns",
                 .ours = [] { return decode_ns(kItem); },
                 .theirs = [] { return copy_out_ns(kItem); },
                 .peer = "copying a vector",
                 .target = bench::at_most(1.5)});
  suite.compare({.name = "struct of five fields, there and back",
                 .unit = "ns",
                 .ours = [] { return both_ways_ns(Order()); },
                 .theirs = [] { return pickle_ns("(77, \"Ann Example\", 12.5, [1, 2, 3, 4], None)"); },
                 .peer = "Python, pickle of a tuple",
                 .target = bench::at_most(0.2)});
  suite.compare({.name = "100,000 doubles, there and back",
                 .unit = "ns",
                 .ours = [] { return both_ways_ns(kNumbers); },
                 .theirs = [] { return pickle_ns("__import__(\"array\").array(\"d\", [1.5]) * 100000"); },
                 .peer = "Python, pickle of an array",
                 .target = bench::at_most(1)});
  suite.compare({.name = "map of 1,000 words, there and back",
                 .unit = "ns",
                 .ours = [] { return both_ways_ns(kWords); },
                 .theirs = [] { return pickle_ns("{\"word%d\" % i: i for i in range(1000)}"); },
                 .peer = "Python, pickle of a dict",
                 .target = bench::at_most(1)});
  return suite.finish();
}
