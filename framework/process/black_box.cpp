#include "process/black_box.h"

#include <cxxabi.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

#include "os/check_call.h"

namespace troupe::process {

namespace {

constexpr std::size_t kNameMax = 160;  // characters of a function's name that are shown

// The text that begins at `position`, as far as it is printable.
std::string text_at(std::span<const char> bytes, std::size_t position = 0) {
  std::string text;
  for (; position < bytes.size() && bytes[position] >= ' ' && bytes[position] <= '~'; ++position) text += bytes[position];
  return text;
}

std::string demangled(const std::string& name) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), std::free);
  std::string readable = status == 0 ? text.get() : name;
  if (readable.size() > kNameMax) readable.replace(kNameMax - 3, std::string::npos, "...");
  return readable;
}

std::string text_of(const BlackBox& box, const BlackBox::Frame& frame) {
  return frame_text(text_at(box.text, frame.function), text_at(box.text, frame.module), frame.offset);
}

std::string signal_detail(const BlackBox& box) {
  const bool by_kernel = box.code > 0;
  constexpr std::uint64_t kNear = 64 * 1024;
  switch (box.signal) {
    case SIGSEGV:
    case SIGBUS:
      if (!by_kernel) return "";
      // Nothing else touches what lies just below the stack.
      if (box.signal == SIGSEGV && box.address < box.stack + 4096 && box.stack < box.address + kNear) return "stack overflow";
      return fmt::format("at address {:#x}", box.address);
    case SIGFPE: return box.code == FPE_INTDIV ? "integer division by zero" : "";
    case SIGABRT: return text_at(box.what);
    default: return "";
  }
}

}  // namespace

std::string frame_text(const std::string& function, const std::string& module, std::uint64_t offset) {
  const std::string file = module.substr(module.rfind('/') + 1);
  const std::string place = fmt::format("{}+{:#x}", file.empty() ? "?" : file, offset);
  return function.empty() ? place : fmt::format("{} in {}", demangled(function), place);
}

bool calls_handlers(std::string_view mangled) { return mangled.starts_with("_ZN6troupe6detail4Cell") || mangled.starts_with("_ZN6troupe4node4Core8conclude"); }

Evidence read_black_box(const BlackBox& shared, Serial owner) {
  if (shared.owner.load() != owner) return {};
  // Forks of the dead process may still write: what is checked must be what is used.
  const auto copy = std::make_unique<std::array<std::byte, sizeof(BlackBox)>>();
  std::memcpy(copy->data(), &shared, sizeof shared);
  const auto& box = *reinterpret_cast<const BlackBox*>(copy->data());
  Evidence evidence;
  evidence.message = text_at(box.message);
  evidence.kind = box.kind.load();
  if (evidence.kind == BlackBox::Kind::nothing || evidence.kind > BlackBox::Kind::hang) {
    evidence.kind = BlackBox::Kind::nothing;
    return evidence;
  }
  if (evidence.kind == BlackBox::Kind::signal) {
    evidence.signal = box.signal;
    evidence.detail = signal_detail(box);
  }
  const std::size_t count = std::min<std::size_t>(box.frame_count, BlackBox::kFramesMax);
  for (std::size_t i = 0; i < count && !calls_handlers(text_at(box.text, box.frames.at(i).function)); ++i) {
    evidence.stack.push_back(text_of(box, box.frames.at(i)));
  }
  return evidence;
}

BlackBoxes::BlackBoxes() {
  try {
    memory_ = os::Mapping::shared_anonymous(kBoxesMax * BlackBox::kSize);
  } catch (const SystemError&) {  // deaths will say less
  }
}

BlackBox* BlackBoxes::take() {
  if (!free_.empty()) {
    BlackBox* box = free_.back();
    free_.pop_back();
    return box;
  }
  if ((fresh_ + 1) * BlackBox::kSize > memory_.bytes().size()) return nullptr;
  return reinterpret_cast<BlackBox*>(memory_.bytes().data() + fresh_++ * BlackBox::kSize);
}

void BlackBoxes::give_back(BlackBox* box) {
  if (box) free_.push_back(box);
}

}  // namespace troupe::process
