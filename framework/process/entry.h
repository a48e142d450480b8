#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace troupe::process {

// What runs in a new process; what it returns is the exit code. `arguments` are the bytes that its starter gave.
using Entry = int (*)(std::span<const std::byte> arguments);

// A function as it travels to root: every process of a tree is a copy of one image, so a module and an offset say it all. The
// build id is sent along because a library that was loaded later may lie where another one lay.
struct EntryPlace {
  std::uint32_t module = 0;
  std::uint64_t offset = 0;
  std::uint64_t build = 0;
};

// The executable and the libraries that were loaded when the tree began, so that functions can be told from one another in all
// processes that were forked since.
//
//     const Modules modules;                       // in Program, before the first fork
//     EntryPlace place = modules.place_of(&work);  // in one process
//     Entry work = modules.entry_at(place);        // in another
//
// Threads: const after construction.
class Modules {
 public:
  Modules();

  // Where `function` is. Throws std::invalid_argument if it lies in a library loaded since: the other processes do not have it.
  [[nodiscard]] EntryPlace place_of(Entry function) const;

  // The function at `place`. Throws ProtocolError if there is no code there, or other code than the sender meant.
  [[nodiscard]] Entry entry_at(const EntryPlace& place) const;

  // The name of the function, for messages; empty when it is not exported.
  [[nodiscard]] static std::string name_of(Entry function);

 private:
  struct Code {  // one executable segment
    std::uintptr_t begin;
    std::uintptr_t end;
  };
  struct Module {
    std::string path;
    std::uintptr_t base;
    std::uint64_t build;
    std::vector<Code> code;
    [[nodiscard]] bool has(std::uintptr_t address) const;
  };
  std::vector<Module> modules_;
  std::uint64_t unloaded_ = 0;  // libraries closed so far; once more are, an address may mean something else
};

}  // namespace troupe::process
