#include "os/memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/check_call.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace troupe::os {
namespace {

constexpr int kSizeSeals = F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;

int memfd(const char* label) {
  const int fd = ::memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  if (fd >= 0 || errno != EINVAL) return fd;
  return ::memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);  // before Linux 6.3
}

Descriptor make_memory(const char* label) {
  const int fd = memfd(label);
  if (fd < 0) throw_error(errno, "memfd_create(" + std::string(label) + ")");
  return Descriptor(fd);
}

void allocate(const Descriptor& memory, int mode, std::size_t offset, std::size_t size) {
  const auto call = [&] { return ::fallocate(memory.get(), mode, static_cast<off_t>(offset), static_cast<off_t>(size)); };
  if (retry_interrupted(call) < 0) throw_error(errno, fmt::format("no room for {} bytes of {}, which processes share", size, memory.name()));
}

void seal_size(const Descriptor& memory) { check_call(::fcntl(memory.get(), F_ADD_SEALS, kSizeSeals), "fcntl(F_ADD_SEALS)"); }

}  // namespace

Descriptor make_shared_memory(const char* label, std::size_t size) {
  Descriptor memory = make_memory(label);
  allocate(memory, 0, 0, size);
  seal_size(memory);
  return memory;
}

Descriptor make_sparse_memory(const char* label, std::size_t size) {
  Descriptor memory = make_memory(label);
  if (retry_interrupted([&] { return ::ftruncate(memory.get(), static_cast<off_t>(size)); }) < 0)
    throw_error(errno, fmt::format("{}, a sparse file of {} bytes which processes share", memory.name(), size));
  seal_size(memory);
  return memory;
}

void allocate(const Descriptor& memory, std::size_t offset, std::size_t size) { allocate(memory, FALLOC_FL_KEEP_SIZE, offset, size); }

void punch(const Descriptor& memory, std::size_t offset, std::size_t size) {
  constexpr int kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  check_call(retry_interrupted(
                 [&] { return ::fallocate(memory.get(), kPunch, static_cast<off_t>(offset), static_cast<off_t>(size)); }),
             "punch a hole in a memfd");
}

std::optional<std::size_t> shared_memory_size(const Descriptor& memory) {
  struct stat status {};
  const int seals = ::fcntl(memory.get(), F_GET_SEALS);
  if (seals < 0 || (seals & kSizeSeals) != kSizeSeals || ::fstat(memory.get(), &status) < 0) return {};
  return static_cast<std::size_t>(status.st_size);
}

Mapping::Mapping(int flags, const Descriptor& memory, std::size_t size) {
  void* start = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, memory.get(), 0);
  if (start == MAP_FAILED) throw_error(errno, fmt::format("no address space for {} bytes{}", size, memory ? " of " + memory.name() : ""));
  bytes_ = {static_cast<std::byte*>(start), size};
}

Mapping::Mapping(const Descriptor& memory, std::size_t size) : Mapping(MAP_SHARED, memory, size) {}

Mapping Mapping::anonymous(std::size_t size) { return Mapping(MAP_PRIVATE | MAP_ANONYMOUS, {}, size); }

Mapping Mapping::shared_anonymous(std::size_t size) { return Mapping(MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, {}, size); }

Mapping::~Mapping() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

}  // namespace troupe::os
