#include "process/entry.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>

#include <troupe/errors.h>

namespace troupe::process {

namespace {

// FNV-1a of the linker's build id, or of the path where there is none.
std::uint64_t hash(std::span<const char> bytes) {
  std::uint64_t value = 14695981039346656037u;
  for (char byte : bytes) value = (value ^ static_cast<unsigned char>(byte)) * 1099511628211u;
  return value;
}

std::span<const char> build_id_in(const char* note, std::size_t size) {
  const char* end = note + size;
  while (note + sizeof(ElfW(Nhdr)) <= end) {
    ElfW(Nhdr) header;
    std::memcpy(&header, note, sizeof header);
    const char* name = note + sizeof header;
    const char* description = name + (header.n_namesz + 3) / 4 * 4;
    if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == 4 && std::memcmp(name, "GNU", 4) == 0) {
      return {description, header.n_descsz};
    }
    note = description + (header.n_descsz + 3) / 4 * 4;
  }
  return {};
}

std::uint64_t build_of(const dl_phdr_info& info) {
  for (const auto& segment : std::span(info.dlpi_phdr, info.dlpi_phnum)) {
    if (segment.p_type != PT_NOTE) continue;
    const auto id = build_id_in(reinterpret_cast<const char*>(info.dlpi_addr + segment.p_vaddr), segment.p_memsz);
    if (!id.empty()) return hash(id);
  }
  return hash(std::span(info.dlpi_name, std::strlen(info.dlpi_name)));
}

// How many libraries were closed so far.
std::uint64_t libraries_unloaded() {
  std::uint64_t count = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* result) {
        *static_cast<std::uint64_t*>(result) = info->dlpi_subs;
        return 1;
      },
      &count);
  return count;
}

bool is_loaded(std::uintptr_t base, std::uint64_t build) {
  struct Wanted {
    std::uintptr_t base;
    std::uint64_t build;
  } wanted{base, build};
  return dl_iterate_phdr(
             [](dl_phdr_info* info, std::size_t, void* data) {
               const auto* want = static_cast<const Wanted*>(data);
               return static_cast<int>(info->dlpi_addr == want->base && build_of(*info) == want->build);
             },
             &wanted) != 0;
}

}  // namespace

bool Modules::Module::has(std::uintptr_t address) const {
  return std::ranges::any_of(code, [&](const Code& part) { return part.begin <= address && address < part.end; });
}

Modules::Modules() : unloaded_(libraries_unloaded()) {
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* result) {
        Module module{info->dlpi_name, info->dlpi_addr, build_of(*info), {}};
        for (const auto& segment : std::span(info->dlpi_phdr, info->dlpi_phnum)) {
          if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_X)) continue;
          const auto begin = info->dlpi_addr + segment.p_vaddr;
          module.code.push_back({begin, begin + segment.p_memsz});
        }
        static_cast<std::vector<Module>*>(result)->push_back(std::move(module));
        return 0;
      },
      &modules_);
}

EntryPlace Modules::place_of(Entry function) const {
  const auto address = reinterpret_cast<std::uintptr_t>(function);
  const auto module = std::ranges::find_if(modules_, [&](const Module& candidate) { return candidate.has(address); });
  const bool known = function != nullptr && module != modules_.end();
  if (!known || (libraries_unloaded() != unloaded_ && !is_loaded(module->base, module->build))) {
    const std::string name = name_of(function);
    throw std::invalid_argument("the function " + (name.empty() ? std::string("given") : name) +
                                " cannot run in another process: it is in a library that was loaded after "
                                "Program was made; link the library, or load it before Program");
  }
  return {static_cast<std::uint32_t>(module - modules_.begin()), address - module->base, module->build};
}

Entry Modules::entry_at(const EntryPlace& place) const {
  if (place.module < modules_.size()) {
    const Module& module = modules_[place.module];
    const auto address = module.base + place.offset;
    if (module.build == place.build && module.has(address)) return reinterpret_cast<Entry>(address);
  }
  throw ProtocolError("no such function in the image that processes are copied from");
}

std::string Modules::name_of(Entry function) {
  Dl_info info{};
  if (!dladdr(reinterpret_cast<void*>(function), &info) || !info.dli_sname) return {};
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status), std::free);
  return status == 0 ? name.get() : info.dli_sname;
}

}  // namespace troupe::process
