#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace troupe::process {

// Where an address of this process's code is.
struct CodePlace {
  const char* path = "";      // of the file; "/proc/self/exe" for the program itself
  std::uintptr_t offset = 0;  // in it, as addr2line wants it
};
// False if there is no code. Safe in a signal handler.
bool find_code(std::uintptr_t address, CodePlace& place);

// Copies the mangled name of the function at `offset` in the ELF file `path` to `name`; its length, 0 if it has none or is longer
// than `name`. Exported and static functions alike, unless the file was stripped. Safe in a signal handler: it maps the file, looks
// and unmaps it, and allocates nothing.
std::size_t find_function(const char* path, std::uintptr_t offset, std::span<char> name);

}  // namespace troupe::process
