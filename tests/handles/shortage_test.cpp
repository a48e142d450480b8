// Where there are no descriptors, or there is no memory, left for what a handle stands for: one clear error at the call, nothing is left of
// it, and it works again when there is some.

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include <troupe/troupe.h>

#include "handles_support.h"
#include "os/epoll.h"
#include "os/proc.h"
#include "support/catch.h"
#include "support/leftovers.h"
#include "support/sanitizers.h"

using namespace troupe;
using namespace handles_test;

namespace {

// Each makes one, and uses it.
const std::vector<std::pair<std::string, void (*)()>> kMakers = {
    {"queue", [] { Queue<int> queue; queue.put(1); }},
    {"ordered queue", [] { LifoQueue<int> queue; queue.put(1); }},
    {"pipe", [] { auto [one, other] = Pipe(); one.send(1); }},
    {"pipe over sockets", [] { auto [one, other] = Pipe({.transport = PipeTransport::socket}); one.send(1); }},
    {"lock", [] { Lock lock; lock.acquire(); }},
    {"barrier", [] { const Barrier barrier(2); }},
    {"array", [] { const Array<int> array(1000); }},
    {"shared memory", [] { const SharedMemory memory(1 << 20); }},
};

// Lowers a limit of this process as long as it lives.
class Limit {
 public:
  Limit(decltype(RLIMIT_NOFILE) what, rlim_t value) : what_(what) {
    ::getrlimit(what_, &before_);
    const rlimit lower{value, before_.rlim_max};
    ::setrlimit(what_, &lower);
  }
  ~Limit() { ::setrlimit(what_, &before_); }
  Limit(const Limit&) = delete;
  Limit& operator=(const Limit&) = delete;

 private:
  decltype(RLIMIT_NOFILE) what_;
  rlimit before_{};
};

enum class Outcome { made, refused, wrong };

// What it throws is looked at when the limit is gone: UBSan cannot look at an object without a descriptor.
template <class Make>
std::exception_ptr thrown_by(Make make) {
  try {
    make();
    return {};
  } catch (...) {
    return std::current_exception();
  }
}

// Each says where to look.
bool is_helpful(const SystemError& error) {
  const std::string text = error.what();
  return text.find("see ulimit") != std::string::npos || text.find("see free") != std::string::npos;
}

Outcome outcome(const std::exception_ptr& thrown) {
  if (!thrown) return Outcome::made;
  try {
    std::rethrow_exception(thrown);
  } catch (const SystemError& error) {
    return is_helpful(error) ? Outcome::refused : Outcome::wrong;
  } catch (const std::bad_alloc&) {  // of our own memory
    return Outcome::refused;
  } catch (const std::exception&) {
    return Outcome::wrong;
  }
}

std::size_t descriptors() { return os::open_descriptors().size(); }

// How many of the makers were not as they should be: refused under the first limit, and made under one of those that follow, without
// anything left over in between. In a process of its own.
template <class MakeLimit>
int count_wrong(rlim_t limits, MakeLimit with) {
  int wrong = 0;
  for (const auto& [name, make] : kMakers) {
    if (thrown_by(make)) ++wrong;
    const std::size_t before = descriptors();
    bool made = false;
    for (rlim_t i = 0; i < limits && !made; ++i) {
      std::exception_ptr thrown;
      {
        const auto limit = with(i);
        thrown = thrown_by(make);
      }
      const Outcome result = outcome(thrown);
      if (result == Outcome::wrong || (i == 0 && result != Outcome::refused) || descriptors() != before) {
        std::fprintf(stderr, "%s, limit %d: %d\n", name.c_str(), static_cast<int>(i), static_cast<int>(result));
        ++wrong;
      }
      made = result == Outcome::made;
    }
    if (!made && thrown_by(make)) ++wrong;
  }
  return wrong;
}

// The lowest that is not in use: under a limit of that, there is none left.
rlim_t lowest_free() {
  const auto open = os::open_descriptors();
  int next = 0;
  while (std::ranges::find(open, next) != open.end()) ++next;
  return static_cast<rlim_t>(next);
}

template <class F>
int exit_code_of(F function) {
  Process process(function);
  process.start();
  process.join();
  return process.exitcode().value();
}

}  // namespace

TEST_CASE("without descriptors nothing is made, and it is said") {
  const troupe::test::Leftovers leftovers;
  const auto code = exit_code_of([] {
    return count_wrong(40, [next = lowest_free()](rlim_t more) { return Limit(RLIMIT_NOFILE, next + more); });
  });
  CHECK(code == 0);
}

TEST_CASE("without address space nothing is made, and it is said") {
  if (troupe::test::kSanitized) return;  // that takes all of it
  const troupe::test::Leftovers leftovers;
  const auto code = exit_code_of([] { return count_wrong(1, [](rlim_t) { return Limit(RLIMIT_AS, 4096); }); });
  CHECK(code == 0);
}

// The size of a file is what the kernel limits for a process without a cgroup; to the program it is the same as no room.
TEST_CASE("where shared memory has no room nothing is made, and it is said") {
  const troupe::test::Leftovers leftovers;
  const auto code = exit_code_of([] {
    ::signal(SIGXFSZ, SIG_IGN);
    return count_wrong(1, [](rlim_t) { return Limit(RLIMIT_FSIZE, 0); });
  });
  CHECK(code == 0);
}

namespace {

// From now on, the kernel has no memory for this process's shares.
void have_no_room() {
  std::array filter = {
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fallocate, 0, 3),
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FALLOC_FL_KEEP_SIZE, 0, 1),  // not: to give some back
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSPC),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = filter.size(), .filter = filter.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    throw SystemError(errno, "seccomp");
}

bool is_told(const std::exception_ptr& thrown) {
  if (!thrown) return false;
  try {
    std::rethrow_exception(thrown);
  } catch (const SystemError& error) {
    const std::string text = error.what();
    return error.code().value() == ENOSPC && text.starts_with("no room for ") && text.find(" bytes of memfd:troupe:") != std::string::npos &&
           is_helpful(error);
  }
}

using Item = std::pair<int, std::string>;

Item make_item(int number, std::size_t size) { return {number, std::string(size, static_cast<char>('a' + number % 26))}; }

// What was put before there was no room: so many.
template <class AnyQueue>
int put_until_told(AnyQueue to, RawValue<int> put, std::size_t size) {
  have_no_room();
  std::exception_ptr thrown;
  while (!(thrown = thrown_by([&] { to.put(make_item(put.value(), size)); }))) ++put.value();
  if (!is_told(thrown)) return 1;
  if (!is_told(thrown_by([&] { to.put(make_item(0, size)); }))) return 2;
  return thrown_by([&] { static_cast<void>(to.get()); }) ? 3 : 0;  // to get needs no memory
}

}  // namespace

TEMPLATE_TEST_CASE("where a queue has no room to grow a put says so, and the queue goes on", "", Queue<Item>, LifoQueue<Item>, PriorityQueue<Item>) {
  const std::size_t size = GENERATE(100U, 100'000U);  // in the queue itself, or in a block
  const troupe::test::Leftovers leftovers;
  TestType queue;
  queue.put(make_item(0, size));
  const RawValue<int> put(1);
  CAPTURE(size);
  Process producer(put_until_told<TestType>, queue, put, size);
  producer.start();
  producer.join();
  REQUIRE(producer.exitcode() == 0);
  const int left = put.value() - 1;
  CHECK(queue.qsize() == static_cast<std::size_t>(left));
  constexpr int kMore = 300;
  for (int i = 0; i < kMore; ++i) queue.put(make_item(i, size));
  queue.close();
  int got = 0;
  for (const Item& item : queue) got += item == make_item(item.first, size) ? 1 : 0;
  CHECK(got == left + kMore);
}

TEST_CASE("where blocks have no room one that is made says so, and those that are there go on") {
  const troupe::test::Leftovers leftovers;
  auto [ours, theirs] = Pipe({.block_bytes = 1 << 20});
  run(Process(
      [](Connection pipe) {
        const Block first = pipe.make_block(1000);
        have_no_room();
        if (!is_told(thrown_by([&] { static_cast<void>(pipe.make_block(500'000)); }))) return 1;
        pipe.send(first);
        return 0;
      },
      theirs));
  CHECK(ours.recv<Block>().size() == 1000);
  CHECK(ours.make_block(500'000).size() == 500'000);
}

TEST_CASE("who has no descriptor left for a handle that it gets is told, and may get it again") {
  const troupe::test::Leftovers leftovers;
  Queue<Lock> locks;
  std::uint64_t number = 0;
  {
    const Lock lock;
    number = number_of(lock);
    locks.put(lock);
  }
  Process process(
      [](Queue<Lock> from) {
        auto item = from.try_lease();
        return item ? 3 : 4;
      },
      locks);
  Process poor(
      [](Queue<Lock> from) {
        const auto thrown = [&] {
          const Limit none(RLIMIT_NOFILE, lowest_free());
          return thrown_by([&] { static_cast<void>(from.lease()); });
        }();
        if (!thrown) return 1;
        try {
          std::rethrow_exception(thrown);
        } catch (const SystemError& error) {
          return error.code().value() == EMFILE && is_helpful(error) ? 0 : 2;
        }
      },
      locks);
  poor.start();
  poor.join();
  CHECK(poor.exitcode() == 0);
  process.start();
  process.join();
  CHECK(process.exitcode() == 3);
  check_gone(number);
}
