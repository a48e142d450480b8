#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "os/memory.h"
#include "process/id.h"

namespace troupe::process {

// What a process leaves behind for root to find when it cannot speak any more. It lies in memory that both share: written by the
// process, mostly from a signal handler, and read by root after its death. Root trusts none of it.
//
//     owner    whose all this is: a box is used again without being cleared
//     kind     what is told; what tells it may be incomplete, should the process have ended over it
//     frames   where it was, innermost first; names are positions in `text`
//
struct BlackBox {
  static constexpr std::size_t kSize = 8192;
  static constexpr std::size_t kFramesMax = 32;
  static constexpr std::uint32_t kNoText = ~0u;

  enum class Kind : std::uint32_t { nothing, signal, hang };
  struct Frame {
    std::uint32_t function = kNoText;  // mangled
    std::uint32_t module = kNoText;    // the path of its file
    std::uint64_t offset = 0;          // in the module, as addr2line wants it
  };

  std::atomic<Serial> owner;
  std::atomic<Kind> kind;
  std::int32_t signal;
  std::int32_t code;      // si_code
  std::uint64_t address;  // si_addr
  std::uint64_t stack;    // the stack pointer then
  std::uint32_t frame_count;
  std::uint32_t text_size;
  std::array<Frame, kFramesMax> frames;
  std::array<char, 512> what;              // of an exception that nobody caught; ends with 0
  std::array<char, 128> message;           // the type of the message in hand; ends with 0
  std::atomic<Serial> told;                // by one that was asked where it is, when it has said it
  std::atomic<std::uint32_t> over_budget;  // written by root: the process has more memory than it should
  std::array<char, kSize - 40 - kFramesMax * sizeof(Frame) - 512 - 128 - 8> text;
};
static_assert(sizeof(BlackBox) == BlackBox::kSize);
static_assert(std::atomic<Serial>::is_always_lock_free);

// What a black box says, in words.
struct Evidence {
  BlackBox::Kind kind = BlackBox::Kind::nothing;
  int signal = 0;
  std::string detail;              // of a signal: "at address 0x0"; or that nobody caught an exception
  std::string message;             // type of the message in hand
  std::vector<std::string> stack;  // "crash() in demo+0x1234"
};
// A frame of a stack in words: "crash() in demo+0x1234". The function is mangled, or not known; the module is a path.
std::string frame_text(const std::string& function, const std::string& module, std::uint64_t offset);
// The frame of that function, and those beyond, are what calls handlers of actors: nobody looks for a mistake there.
bool calls_handlers(std::string_view mangled);
// Of the process with this serial; nothing if it left none. Whatever the bytes are, this is no trouble.
Evidence read_black_box(const BlackBox& box, Serial owner);

// The black boxes of a tree: mapped in root before its first fork, and so in all that it forks. Pages are used once they are touched.
//
// Threads: one.
class BlackBoxes {
 public:
  BlackBoxes();
  // None when all are taken.
  BlackBox* take();
  void give_back(BlackBox* box);

  static constexpr std::size_t kBoxesMax = 32768;

 private:
  os::Mapping memory_;
  std::vector<BlackBox*> free_;  // given back; the last one first, as its pages are there
  std::size_t fresh_ = 0;        // never used yet, from here on
};

}  // namespace troupe::process
