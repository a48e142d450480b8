#include <troupe/death.h>

#include <fmt/format.h>

#include <csignal>
#include <cstring>

namespace troupe {

namespace {

std::string signal_name(int number) {
  const char* name = sigabbrev_np(number);
  return name ? fmt::format("SIG{}", name) : fmt::format("signal {}", number);
}

}  // namespace

int Death::exitcode() const {
  switch (cause) {
    case Cause::exited: return code;
    case Cause::signalled: return -code;
    case Cause::stopped: return code;
    case Cause::cascade:
    case Cause::out_of_memory:
    case Cause::hung: return code != 0 ? code : 1;
    default: return 1;
  }
}

bool Death::normal() const { return cause == Cause::stopped || (cause == Cause::exited && code == 0); }

std::string Death::describe() const {
  std::string text;
  switch (cause) {
    case Cause::exited: text = fmt::format("exited with code {}", code); break;
    case Cause::signalled: text = fmt::format("killed by {}", signal_name(code)); break;
    case Cause::stopped: text = "stopped"; break;
    case Cause::exception: text = "threw an exception"; break;
    case Cause::failed_to_start: text = "failed to start"; break;
    case Cause::not_ready: text = "was not ready in time"; break;
    case Cause::unreachable: text = "not reachable"; break;
    case Cause::cascade: text = "went down with another"; break;
    case Cause::out_of_memory: text = "out of memory"; break;
    case Cause::hung: text = "hung"; break;
  }
  return detail.empty() ? text : fmt::format("{}: {}", text, detail);
}

std::string Death::report() const { return describe() + '\n' + evidence(); }

std::string Death::evidence() const {
  std::string text;
  if (restarts > 0) text += fmt::format("  restarted {} times before\n", restarts);
  if (!message.empty()) text += fmt::format("  with a message in hand: {}\n", message);
  for (std::size_t i = 0; i < stack.size(); ++i) text += fmt::format("  #{} {}\n", i, stack[i]);
  if (!last_lines.empty()) text += "  last lines on standard error:\n";
  for (const auto& line : last_lines) text += fmt::format("  | {}\n", line);
  return text;
}

}  // namespace troupe
