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
  }
  return detail.empty() ? text : fmt::format("{}: {}", text, detail);
}

}  // namespace troupe
