#include "message/death_record.h"

#include <chrono>
#include <string>
#include <vector>

#include <troupe/errors.h>

namespace troupe::message {

namespace {

constexpr std::size_t kTextSizeMax = 2 * 1024;   // of the detail, and of the message's type
constexpr std::size_t kLinesSizeMax = 4 * 1024;  // of a stack, and of the last lines

unsigned lines_that_fit(const std::vector<std::string>& lines) {
  std::size_t size = 0;
  unsigned count = 0;
  while (count < lines.size() && (size += lines[count].size() + 16) <= kLinesSizeMax) ++count;
  return count;
}

void write(capnp::List<capnp::Text>::Builder to, const std::vector<std::string>& from) {
  for (unsigned i = 0; i < to.size(); ++i) to.set(i, from[i]);
}

std::vector<std::string> read(capnp::List<capnp::Text>::Reader from) {
  std::vector<std::string> lines;
  for (const auto line : from) lines.emplace_back(line.cStr());
  return lines;
}

}  // namespace

void write(DeathRecord::Builder to, const Death& from) {
  to.setCause(static_cast<std::uint8_t>(from.cause));
  to.setCode(from.code);
  if (!from.detail.empty()) to.setDetail(from.detail.substr(0, kTextSizeMax));
  to.setTime(std::chrono::nanoseconds(from.time.time_since_epoch()).count());
  to.setRestarts(from.restarts);
  if (!from.message.empty()) to.setMessage(from.message.substr(0, kTextSizeMax));
  if (!from.stack.empty()) write(to.initStack(lines_that_fit(from.stack)), from.stack);
  if (!from.last_lines.empty()) write(to.initLastLines(lines_that_fit(from.last_lines)), from.last_lines);
}

Death read(DeathRecord::Reader from) {
  if (from.getCause() > static_cast<std::uint8_t>(Death::kLastCause)) throw ProtocolError("unknown cause of death");
  Death death{static_cast<Death::Cause>(from.getCause()), from.getCode(), from.getDetail().cStr()};
  death.time = std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::nanoseconds(from.getTime())));
  death.restarts = from.getRestarts();
  death.message = from.getMessage().cStr();
  death.stack = read(from.getStack());
  death.last_lines = read(from.getLastLines());
  return death;
}

}  // namespace troupe::message
