#include "process/symbols.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace troupe::process {

namespace {

// A file in memory, for as long as a look takes.
class MappedFile {
 public:
  explicit MappedFile(const char* path) {
    const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    struct stat status {};
    if (::fstat(fd, &status) == 0 && status.st_size > 0) {
      void* memory = ::mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
      if (memory != MAP_FAILED) bytes_ = {static_cast<const std::byte*>(memory), static_cast<std::size_t>(status.st_size)};
    }
    ::close(fd);
  }
  ~MappedFile() {
    if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // Null where the file ends before.
  template <class T>
  const T* at(std::uint64_t offset, std::uint64_t count = 1) const {
    const bool inside = offset <= bytes_.size() && count <= (bytes_.size() - offset) / sizeof(T);
    return inside && offset % alignof(T) == 0 ? reinterpret_cast<const T*>(bytes_.data() + offset) : nullptr;
  }
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

using Header = ElfW(Ehdr);
using Section = ElfW(Shdr);
using Symbol = ElfW(Sym);

std::size_t name_in(const MappedFile& file, const Section& strings, std::uint32_t position, std::span<char> name) {
  const auto* text = file.at<char>(strings.sh_offset, strings.sh_size);
  if (!text || position >= strings.sh_size) return 0;
  const std::size_t size = ::strnlen(text + position, strings.sh_size - position);
  if (size > name.size()) return 0;
  std::memcpy(name.data(), text + position, size);
  return size;
}

std::size_t find_in(const MappedFile& file, std::span<const Section> sections, std::uint32_t type, std::uintptr_t offset,
                    std::span<char> name) {
  for (const Section& section : sections) {
    if (section.sh_type != type || section.sh_link >= sections.size()) continue;
    const std::uint64_t count = section.sh_size / sizeof(Symbol);
    const auto* symbols = file.at<Symbol>(section.sh_offset, count);
    if (!symbols) continue;
    for (const Symbol& symbol : std::span(symbols, count)) {
      const bool here =
          (symbol.st_info & 0xf) == STT_FUNC && symbol.st_value <= offset && offset < symbol.st_value + symbol.st_size;
      if (here) return name_in(file, sections[section.sh_link], symbol.st_name, name);
    }
  }
  return 0;
}

}  // namespace

bool find_code(std::uintptr_t address, CodePlace& place) {
  dl_find_object found{};
  if (::_dl_find_object(reinterpret_cast<void*>(address), &found) != 0 || !found.dlfo_link_map) return false;
  const char* path = found.dlfo_link_map->l_name;
  place.path = path && *path ? path : "/proc/self/exe";
  place.offset = address - found.dlfo_link_map->l_addr;
  return true;
}

std::size_t find_function(const char* path, std::uintptr_t offset, std::span<char> name) {
  const MappedFile file(path);
  const auto* header = file.at<Header>(0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return 0;
  const auto* sections = file.at<Section>(header->e_shoff, header->e_shnum);
  if (!sections) return 0;
  const std::span all(sections, header->e_shnum);
  const std::size_t size = find_in(file, all, SHT_SYMTAB, offset, name);
  return size > 0 ? size : find_in(file, all, SHT_DYNSYM, offset, name);
}

}  // namespace troupe::process
