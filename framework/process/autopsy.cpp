#include "process/autopsy.h"

#include <csignal>
#include <utility>

namespace troupe::process {

namespace {

Death cause_of(const Process& process, const os::Exit& exit) {
  if (process.verdict) {
    Death verdict = *process.verdict;
    if (verdict.cause == Death::Cause::cascade && exit.signalled) verdict.code = -exit.code;
    return verdict;
  }
  const bool as_asked = !exit.signalled || exit.code == SIGTERM || (exit.code == SIGKILL && process.killed);
  if (process.stopping && as_asked && process.why_stopped) {
    Death why = *process.why_stopped;
    why.code = exit.signalled ? -exit.code : exit.code;
    return why;
  }
  if (process.stopping && as_asked) {
    return {Death::Cause::stopped, exit.signalled ? -exit.code : exit.code,
            process.killed ? "by SIGKILL, SIGTERM was not enough" : ""};
  }
  if (exit.signalled) return {Death::Cause::signalled, exit.code};
  return {Death::Cause::exited, exit.code, exit.code == 0 ? "" : process.last_words.detail};
}

// A black box tells of this end only if that came about as it says: a handler of the user's may have gone on after it was written.
bool tells_of(const Evidence& evidence, const Death& death) {
  switch (evidence.kind) {
    case BlackBox::Kind::signal:
      return death.cause == Death::Cause::signalled && (death.code == evidence.signal || death.code == SIGALRM);
    case BlackBox::Kind::hang: return death.cause == Death::Cause::hung;
    case BlackBox::Kind::nothing: break;
  }
  return false;
}

}  // namespace

Death autopsy(const Process& process, const os::Exit& exit) {
  Death death = cause_of(process, exit);
  death.time = std::chrono::system_clock::now();
  death.restarts = process.restarts;
  if (death.normal()) return death;
  death.last_lines = process.last_lines.lines();
  if (death.cause == Death::Cause::exited) {
    death.message = process.last_words.message;
    death.stack = process.last_words.stack;
  }
  if (!process.box) return death;
  Evidence evidence = read_black_box(*process.box, process.serial);
  if (!tells_of(evidence, death)) return death;
  death.message = std::move(evidence.message);
  death.stack = std::move(evidence.stack);
  if (evidence.kind != BlackBox::Kind::signal) return death;
  death.code = evidence.signal;  // it took too long over its black box otherwise
  if (death.detail.empty()) death.detail = std::move(evidence.detail);
  return death;
}

}  // namespace troupe::process
