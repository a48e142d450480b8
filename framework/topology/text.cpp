// What is read, and checked before the parser sees it.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "os/check_call.h"
#include "os/descriptor.h"
#include "topology/toml.h"

namespace troupe::topology {

namespace {

constexpr std::size_t kFileMax = std::size_t{1} << 20;
constexpr unsigned kDotsMax = 64;   // parts of a dotted key; toml++ goes down one frame for each
constexpr unsigned kDepthMax = 64;  // of brackets within brackets

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

// The length of the UTF-8 sequence that `text` begins with, or 0 if it is none: too long, a surrogate, beyond Unicode, cut off.
std::size_t sequence(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  if (lead == 0xe0 && byte(1) < 0xa0) return 0;
  if (lead == 0xed && byte(1) >= 0xa0) return 0;
  if (lead == 0xf0 && byte(1) < 0x90) return 0;
  if (lead == 0xf4 && byte(1) >= 0x90) return 0;
  return length;
}

// Walks through the text as a TOML lexer does, as far as strings and comments go.
class Walk {
 public:
  Walk(std::string_view text, Diagnostics& diagnostics) : text_(text), diagnostics_(diagnostics) {}

  bool run() {
    if (text_.starts_with("\xef\xbb\xbf")) at_ = 3;  // a byte order mark
    while (at_ < text_.size()) {
      const std::size_t length = sequence(text_.substr(at_));
      if (length == 0) return fault(Code::text, "the file is not UTF-8", "invalid byte");
      if (!step(length)) return false;
      at_ += length;
      ++column_;
      if (text_[at_ - 1] == '\n') begin_line();
    }
    return true;
  }

 private:
  enum class In { plain, comment, basic, literal, long_basic, long_literal };

  bool step(std::size_t length) {
    const char c = text_[at_];
    const auto byte = static_cast<unsigned char>(c);
    const bool line_end = c == '\n' || (c == '\r' && text_.substr(at_ + 1).starts_with('\n'));
    if ((byte < 0x20 && c != '\t' && !line_end) || byte == 0x7f)
      return fault(Code::text, fmt::format("control character U+{:04X} in the file", byte), "not allowed in TOML");
    switch (in_) {
      case In::plain: return plain(c, length);
      case In::comment: break;
      case In::basic:
      case In::long_basic:
        if (c == '\\' && at_ + 1 < text_.size() && static_cast<unsigned char>(text_[at_ + 1]) > 0x20 && text_[at_ + 1] < 0x7f) skip(1);
        else if (in_ == In::basic && c == '"') in_ = In::plain;
        else if (in_ == In::long_basic && ahead("\"\"\"")) leave_long('"');
        break;
      case In::literal:
        if (c == '\'') in_ = In::plain;
        break;
      case In::long_literal:
        if (ahead("'''")) leave_long('\'');
        break;
    }
    return true;
  }

  bool plain(char c, std::size_t length) {
    if (length > 1) return fault(Code::syntax, "a key with other letters than A to Z needs quotes", "outside of quotes");
    if (c == '#') in_ = In::comment;
    if (c == '"') in_ = ahead("\"\"\"") ? skip(2), In::long_basic : In::basic;
    if (c == '\'') in_ = ahead("'''") ? skip(2), In::long_literal : In::literal;
    if (c == '.' && ++dots_ > kDotsMax) return fault(Code::syntax, fmt::format("more than {} dots in a line", kDotsMax), "too deep");
    if ((c == '[' || c == '{') && ++depth_ > kDepthMax)
      return fault(Code::syntax, fmt::format("more than {} brackets within one another", kDepthMax), "too deep");
    if ((c == ']' || c == '}') && depth_ > 0) --depth_;
    return true;
  }

  // Up to two quotes may stand directly before the three that end a long string.
  void leave_long(char quote) {
    skip(2);
    for (int i = 0; i < 2 && at_ + 1 < text_.size() && text_[at_ + 1] == quote; ++i) skip(1);
    in_ = In::plain;
  }

  void begin_line() {
    ++line_;
    column_ = 1;
    dots_ = 0;
    if (in_ != In::long_basic && in_ != In::long_literal) in_ = In::plain;
  }

  [[nodiscard]] bool ahead(std::string_view what) const { return text_.substr(at_).starts_with(what); }
  void skip(unsigned bytes) {
    at_ += bytes;
    column_ += bytes;
  }

  bool fault(Code code, std::string message, std::string label) {
    diagnostics_.add(code, {line_, column_, 1}, std::move(message), std::move(label));
    return false;
  }

  std::string_view text_;
  Diagnostics& diagnostics_;
  std::size_t at_ = 0;
  unsigned line_ = 1, column_ = 1;
  In in_ = In::plain;
  unsigned dots_ = 0, depth_ = 0;
};

}  // namespace

std::optional<std::string> read_file(const std::string& path, Diagnostics& diagnostics) {
  const auto fail = [&](std::string message) {
    diagnostics.add(Code::file, {}, std::move(message));
    return std::nullopt;
  };
  const auto failed_call = [&] { return fail(fmt::format("cannot read `{}`: {}", path, std::strerror(errno))); };
  // Not blocking: opening a FIFO must not wait for someone who writes.
  const os::Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (!file || fstat(file.get(), &status) != 0) return failed_call();
  if (!S_ISREG(status.st_mode)) return fail(fmt::format("cannot read `{}`: it is {}, not a file", path, kind_of(status.st_mode)));
  std::string text(kFileMax + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const auto got = os::retry_interrupted([&] { return read(file.get(), text.data() + size, text.size() - size); });
    if (got < 0) return failed_call();
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size > kFileMax) return fail(fmt::format("`{}` is too large: a topology has 1 MiB at most", path));
  text.resize(size);
  return text;
}

bool check_text(std::string_view text, Diagnostics& diagnostics) { return Walk(text, diagnostics).run(); }

}  // namespace troupe::topology
