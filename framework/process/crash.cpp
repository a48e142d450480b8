#include "process/crash.h"

#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/in_hand.h"
#include "base/witness.h"
#include "process/symbols.h"

namespace troupe::process {

namespace {

// What a handler needs to know; it may look at nothing else.
BlackBox* box = nullptr;
Serial serial_here = 0;
pid_t process_here = 0;
std::uintptr_t bottom = 0;  // frames beyond are root's
std::terminate_handler terminate_before = nullptr;

// The handlers' own stack, since that of the process may be what is at fault.
alignas(64) std::byte handler_stack[128 * 1024];

constexpr std::size_t kKnownFramesMax = 4096;
constexpr unsigned kPatience = 2;  // seconds that a handler may take

constexpr std::uintptr_t kWholeStack = ~std::uintptr_t{0};

struct Walk {
  std::uintptr_t from = 0;            // frames before this address are the handler's
  std::uintptr_t until = kWholeStack;  // frames beyond are of no interest
  std::size_t count = 0;
  std::array<std::uintptr_t, BlackBox::kFramesMax + 16> addresses{};
};

_Unwind_Reason_Code visit(_Unwind_Context* context, void* data) {
  auto& walk = *static_cast<Walk*>(data);
  int before_instruction = 0;
  const auto address = static_cast<std::uintptr_t>(_Unwind_GetIPInfo(context, &before_instruction));
  const auto frame = static_cast<std::uintptr_t>(_Unwind_GetCFA(context));
  if (address == 0 || frame > walk.until || (bottom != 0 && frame > bottom)) return _URC_END_OF_STACK;
  if (walk.from != 0 && address == walk.from) walk.count = 0;
  // A call returns to what follows it, which may be the next function already.
  walk.addresses[walk.count++] = before_instruction || address == walk.from ? address : address - 1;
  return walk.count < walk.addresses.size() ? _URC_NO_REASON : _URC_END_OF_STACK;
}

std::uint32_t add_text(const char* text, std::size_t size) {
  if (size == 0 || box->text_size + size + 1 > box->text.size()) return BlackBox::kNoText;
  const std::uint32_t position = box->text_size;
  std::memcpy(box->text.data() + position, text, size);
  box->text[position + size] = 0;
  box->text_size += static_cast<std::uint32_t>(size) + 1;
  return position;
}

// The name of the program, or the path of a library.
const char* module_name(const char* path) { return std::strcmp(path, "/proc/self/exe") == 0 ? program_invocation_name : path; }

// The same text once.
std::uint32_t module_text(const char* path, std::size_t frame) {
  const char* name = module_name(path);
  for (std::size_t i = 0; i < frame; ++i) {
    const auto known = box->frames[i].module;
    if (known != BlackBox::kNoText && std::strcmp(box->text.data() + known, name) == 0) return known;
  }
  return add_text(name, std::strlen(name));
}

// Addresses first, in case looking for names ends badly.
void write_stack(const Walk& walk, std::size_t skip) {
  box->text_size = 0;
  const std::size_t count = std::min(walk.count - skip, box->frames.size());
  for (std::size_t i = 0; i < count; ++i) {
    CodePlace place;
    const auto address = walk.addresses[skip + i];
    box->frames[i] = {};
    if (find_code(address, place))
      box->frames[i].module = module_text(place.path, i);
    else
      place.offset = address;
    box->frames[i].offset = place.offset;
    box->frame_count = static_cast<std::uint32_t>(i) + 1;
  }
  for (std::size_t i = 0; i < count; ++i) {
    CodePlace place;
    if (!find_code(walk.addresses[skip + i], place)) continue;
    char name[1024];
    box->frames[i].function = add_text(name, find_function(place.path, place.offset, name));
  }
}

// Also that of a sanitizer, which stands before the runtime's.
bool throws(std::uintptr_t address) {
  CodePlace place;
  char name[64];
  if (!find_code(address, place)) return false;
  const std::string_view function(name, find_function(place.path, place.offset, name));
  return function.ends_with("__cxa_throw") || function.ends_with("__cxa_rethrow") || function.find("rethrow_exception") != function.npos;
}

void write_message() {
  const char* name = base::type_in(base::in_hand.load(std::memory_order_relaxed));
  box->message[0] = 0;
  if (!name) return;
  const std::size_t size = std::min(std::strlen(name), box->message.size() - 1);
  std::memcpy(box->message.data(), name, size);
  box->message[size] = 0;
}

void begin(BlackBox::Kind kind) {
  if (box->owner.exchange(serial_here) != serial_here) box->what[0] = 0;  // somebody else's
  write_message();
  box->kind = kind;
  box->frame_count = 0;
}

std::uintptr_t instruction_of(const ucontext_t& context) {
#if defined(__x86_64__)
  return static_cast<std::uintptr_t>(context.uc_mcontext.gregs[REG_RIP]);
#elif defined(__aarch64__)
  return context.uc_mcontext.pc;
#else
  return (void)context, 0;
#endif
}

std::uintptr_t stack_of(const ucontext_t& context) {
#if defined(__x86_64__)
  return static_cast<std::uintptr_t>(context.uc_mcontext.gregs[REG_RSP]);
#elif defined(__aarch64__)
  return context.uc_mcontext.sp;
#else
  return (void)context, 0;
#endif
}

// From here on only what is safe in a signal handler: the process may be broken in any way.
void write_signal(int signal, const siginfo_t& info, const ucontext_t& context) {
  begin(BlackBox::Kind::signal);
  box->signal = signal;
  box->code = info.si_code;
  box->address = reinterpret_cast<std::uint64_t>(info.si_addr);
  box->stack = stack_of(context);
  Walk walk{.from = instruction_of(context)};
  _Unwind_Backtrace(visit, &walk);
  write_stack(walk, 0);
}

// Ends the process by SIGALRM if it is not through in time.
void set_alarm() {
  ::signal(SIGALRM, SIG_DFL);
  sigset_t alarm;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  ::pthread_sigmask(SIG_UNBLOCK, &alarm, nullptr);
  ::alarm(kPatience);
}

// The signal's own action follows: SA_RESETHAND has restored it.
void crashed(int signal, siginfo_t* info, void* context) {
  const int error = errno;
  if (black_box()) {
    set_alarm();
    write_signal(signal, *info, *static_cast<ucontext_t*>(context));
    ::alarm(0);
  }
  // A fault happens again; what somebody sent, and what comes after an instruction, has to be sent again.
  if (info->si_code <= 0 || signal == SIGTRAP || signal == SIGSYS) ::syscall(SYS_tgkill, ::getpid(), ::gettid(), signal);
  errno = error;
}

void asked_where(int, siginfo_t*, void* context) {
  const int error = errno;
  if (black_box()) {
    begin(BlackBox::Kind::hang);
    Walk walk{.from = instruction_of(*static_cast<ucontext_t*>(context))};
    _Unwind_Backtrace(visit, &walk);
    write_stack(walk, 0);
    box->told = serial_here;
  }
  errno = error;
}

void handle(int signal, void (*handler)(int, siginfo_t*, void*), int flags) {
  struct sigaction action {};
  if (::sigaction(signal, nullptr, &action) != 0 || (action.sa_flags & SA_SIGINFO) != 0 || action.sa_handler != SIG_DFL) return;
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | flags;
  sigemptyset(&action.sa_mask);
  ::sigaction(signal, &action, nullptr);
}

// Nobody caught an exception, in a place where run() does not see it: another thread, main, a destructor.
void terminated() {
  if (BlackBox* mine = black_box(); mine && std::current_exception()) {
    mine->owner = serial_here;
    const char* why = "";
    try {
      throw;
    } catch (const std::exception& error) {
      why = error.what();
      std::snprintf(mine->what.data(), mine->what.size(), "uncaught exception: %s", why);
    } catch (...) {
      std::snprintf(mine->what.data(), mine->what.size(), "uncaught exception");
    }
  }
  if (terminate_before) terminate_before();
  std::abort();
}

// Where the last exception of this thread was thrown that got as far as a Witness.
thread_local Walk thrown;

// It is about to unwind the stack.
void look_at_stack() {
  thrown.count = 0;
  thrown.until = base::LookUntilHere::until();
  _Unwind_Backtrace(visit, &thrown);
}

struct KnownFrame {
  std::string text;
  bool throws = false;         // it is the runtime's
  bool calls_handlers = false;
};

KnownFrame frame_at(std::uintptr_t address) {
  CodePlace place;
  if (!find_code(address, place)) return {.text = frame_text("", "", address)};
  char name[1024];
  const std::string function(name, find_function(place.path, place.offset, name));
  return {frame_text(function, module_name(place.path), place.offset), throws(address), calls_handlers(function)};
}

// It was caught. The same actor may throw again and again, and looking for names is slow.
std::vector<std::string> take_stack() {
  static std::mutex mutex;
  static std::unordered_map<std::uintptr_t, KnownFrame> known;
  const std::lock_guard lock(mutex);
  std::vector<std::string> stack;
  bool thrower_found = false;
  for (std::size_t i = 0; i < thrown.count; ++i) {
    if (known.size() >= kKnownFramesMax) known.clear();
    const auto [place, is_new] = known.try_emplace(thrown.addresses[i]);
    if (is_new) place->second = frame_at(thrown.addresses[i]);
    const KnownFrame& frame = place->second;
    if (frame.calls_handlers) break;
    if (frame.throws) thrower_found = true, stack.clear();
    else if (stack.size() < BlackBox::kFramesMax) stack.push_back(frame.text);
  }
  thrown.count = 0;
  if (!thrower_found) return {};
  return stack;
}

}  // namespace

void install_crash_handlers() {
  const stack_t stack{handler_stack, 0, sizeof handler_stack};
  stack_t before{};
  if (::sigaltstack(nullptr, &before) == 0 && (before.ss_flags & SS_DISABLE) != 0) ::sigaltstack(&stack, nullptr);
  for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP})
    handle(signal, crashed, static_cast<int>(SA_RESETHAND));
  handle(tell_stack_signal(), asked_where, SA_RESTART);
  base::looker = {look_at_stack, take_stack};
  if (std::get_terminate() != terminated) terminate_before = std::set_terminate(terminated);
}

int tell_stack_signal() { return SIGRTMAX - 2; }

void open_black_box(BlackBox* mine, Serial serial, bool is_bottom) {
  box = mine;
  serial_here = serial;
  process_here = ::getpid();
  bottom = is_bottom ? reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) : 0;
}

BlackBox* black_box() { return box && ::getpid() == process_here ? box : nullptr; }

}  // namespace troupe::process
