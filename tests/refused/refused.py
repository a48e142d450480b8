#!/usr/bin/env python3
"""refused.py COMPILER [FLAGS…]: compiles what users get wrong, each of which must give one error that says what to do, and no flood."""

import concurrent.futures
import os
import subprocess
import sys
import unittest

COMPILER = sys.argv[1:]
LINES_MAX = 40  # of all that the compiler says

PRELUDE = """
#include <troupe/pipe.h>
#include <troupe/process.h>
#include <troupe/queue.h>
#include <troupe/shared_value.h>
#include <functional>
#include <map>
using troupe::Process;
void none() {}
int two(int, const std::string&) { return 0; }
void change(std::vector<int>& numbers) { numbers.clear(); }
void change_view(std::span<int>) {}
double half(double x) { return x / 2; }
std::string text() { return ""; }
bool yes() { return true; }
void pointer(const int*) {}
struct Server { void serve(int) {} int port() const { return 0; } };
int overloaded(int) { return 0; }
struct WithArray { char name[16]; int number; };
struct Matrix { double cells[3][3]; };
struct Base { int number; };
struct Derived : Base { int more; };
struct Long { int a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q; };
class Closed { public: explicit Closed(int); private: int number_; };
struct Job { std::string what; };
using troupe::Queue;
"""

# Statements, and what the one error of each says.
REFUSED = [
    ("Process p(two, 1);", "another number of arguments"),
    ("Process p(none, 1);", "another number of arguments"),
    ('Process p([](int) {}, 1, "x");', "another number of arguments"),
    ('Process p(two, "x", 1);', "other types of arguments"),
    ("Process p(two, 1, std::map<int, int>());", "other types of arguments"),
    ("Process p(change, std::vector{1});", "would change a copy"),
    ("Process p([](std::string& s) { s += '!'; }, \"x\");", "would change a copy"),
    ("std::vector<int> v; Process p(change_view, v);", "would change a copy"),
    ("Process p(half, 1.0);", "returns nothing or an int"),
    ("Process p(text);", "returns nothing or an int"),
    ("Process p(yes);", "returns nothing or an int"),
    ("Process p(&Server::serve, 1);", "a member function needs its object"),
    ("Server s; Process p(&Server::port, s);", "a member function needs its object"),
    ("std::string s; Process p([s] {});", "may capture only what is trivially copyable"),
    ("Process p([](auto a, auto b) { return a + b; }, 1);", "cannot be called with these arguments"),
    ("Process p(3);", "cannot be called with these arguments"),
    ("int i = 3; Process p(pointer, &i);", "a pointer means nothing in another process"),
    ("Queue<int*> q; q.put(nullptr);", "a pointer means nothing in another process"),
    ("Queue<std::function<void()>> q; q.put({});", "nothing executable travels"),
    ("Queue<WithArray> q; q.put({});", "make it a std::array"),
    ("Queue<Derived> q; q.put({});", "must declare its fields"),
    ("Queue<Long> q; q.put({});", "must declare its fields"),
    ("Queue<Closed> q; q.put(Closed(1));", "this type cannot be sent"),
    ("Queue<Closed> q; q.get();", "this type cannot be sent"),
    ("auto [a, b] = troupe::Pipe(); a.recv<Closed>();", "this type cannot be sent"),
    ('Queue<std::string_view> q; q.put("x");', "a view cannot be received"),
    ("troupe::PriorityQueue<Job> q; q.put({});", "what is the priority of these items?"),
    ("auto [a, b] = troupe::Pipe(); a.send(&b);", "a pointer means nothing in another process"),
    ("auto [a, b] = troupe::Pipe(); a.recv<std::string_view>();", "a view cannot be received"),
]

TAKEN = """
void views(std::string_view, std::span<const int>, const std::string_view&, const char*) {}
struct Given : Process {
  explicit Given(std::string_view whom) : Process(this, whom) {}
};
void test() {
  std::vector<int> v{1, 2};
  std::string s = "x";
  const int small[] = {1, 2};
  Process p1(none);
  Process p2(two, 1L, "x");
  Process p3(two, 'c', std::string_view("x"));
  Process p4(views, "a", v, s, "b");
  Process p5(views, s, small, "a", s);
  Process p6([](auto text) { return static_cast<int>(text.size()); }, std::string_view("x"));
  Process p7([](const std::vector<int>& n) mutable noexcept { return n[0]; }, small);
  Process p8([](std::optional<int>) {}, 3, troupe::ProcessOptions{.name = "x"});
  Process p9([](double) {}, 1);
  Given given("x");
  Process p10([](troupe::Value<WithArray>, troupe::Array<Matrix>, troupe::RawValue<Long>, troupe::RawArray<Derived>) {},
              troupe::Value<WithArray>(), troupe::Array<Matrix>(2), troupe::RawValue<Long>(), troupe::RawArray<Derived>(3));
}
"""


def compile_text(text):
    command = [*COMPILER, "-std=c++20", "-fsyntax-only", "-x", "c++", "-"]
    done = subprocess.run(command, input=PRELUDE + text, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}, check=False)
    return done.returncode, done.stderr


class RefusedTest(unittest.TestCase):
    def test_what_is_right_compiles(self):
        status, said = compile_text(TAKEN)
        self.assertEqual(status, 0, said)

    def test_what_is_wrong_gives_one_error_that_says_what(self):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = pool.map(lambda case: compile_text("void test() { " + case[0] + " }"), REFUSED)
        for (statement, message), (status, said) in zip(REFUSED, results):
            with self.subTest(statement):
                self.assertNotEqual(status, 0)
                self.assertIn(message, said)
                self.assertEqual(said.count(" error: "), 1, said)
                self.assertLess(len(said.splitlines()), LINES_MAX, said)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
