#pragma once

#include <capnp/any.h>
#include <capnp/message.h>
#include <capnp/schema.h>
#include <capnp/serialize.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace troupe {

namespace detail {

// What a message may cost its reader: it is followed four times over, and not deeper than 32.
inline capnp::ReaderOptions reader_options(std::size_t words) {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = 4 * words + 1024;
  options.nestingLimit = 32;
  return options;
}

// A struct without pointers: it is sent as it lies in memory, and checked with two comparisons.
template <class T>
inline constexpr bool is_flat = T::_capnpPrivate::pointerCount == 0;

// A message ready to be sent: its segments, and whether it is flat. Points into what it was built in.
struct Payload {
  std::uint64_t schema = 0;
  const kj::ArrayPtr<const capnp::word>* segments = nullptr;
  std::size_t count = 0;
  bool flat = false;
  const std::vector<std::uint64_t>* handles = nullptr;  // among its values, if there are any
};

// The handles among the values of a message that is being built, and what they stand for.
struct SentHandles {
  std::vector<std::uint64_t> ids;
  std::vector<std::shared_ptr<void>> kept;
};

// A message as it arrived, in memory that nobody else can write.
struct Body {
  const capnp::word* words = nullptr;
  std::size_t count = 0;
  bool checked = false;    // one segment, in which every pointer leads to what is there
  bool segmented = false;  // begins with a table of segments
  capnp::MessageReader* reader = nullptr;  // of several segments, if there is one already
};

// Builds in memory that it is given (all zero) and asks the heap for more when that is used up. Clears what it used of it.
// capnp::MallocMessageBuilder over such memory would do, at twice the price.
class ScratchBuilder final : public capnp::MessageBuilder {
 public:
  explicit ScratchBuilder(kj::ArrayPtr<capnp::word> first) : first_(first) {}
  ~ScratchBuilder() noexcept;
  KJ_DISALLOW_COPY(ScratchBuilder);
  kj::ArrayPtr<capnp::word> allocateSegment(capnp::uint minimum) override;

 private:
  struct Free {
    void operator()(void* memory) const;
  };
  kj::ArrayPtr<capnp::word> first_;
  bool first_used_ = false;
  std::size_t total_ = 0;
  std::vector<std::unique_ptr<void, Free>> more_;
};

// Where a thread builds its messages, one behind the other: only when the memory is used up is it cleared, and the builder and its
// arena, which cost more than a small message, are made anew. While one is being built a second one has to be built elsewhere.
class Strip {
 public:
  static Strip& of_thread();
  [[nodiscard]] bool busy() const { return busy_; }
  // Of the message that is being built.
  [[nodiscard]] SentHandles& handles() { return handles_; }

  // One message. Its payload is good until this is destroyed.
  class Use {
   public:
    explicit Use(Strip& strip) : strip_(strip) { strip.busy_ = true; }
    ~Use() {
      if (!ended_in_place_) strip_.builder_.reset();
      if (!strip_.handles_.ids.empty()) [[unlikely]] strip_.handles_ = {};
      strip_.busy_ = false;
    }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

    template <class T>
    typename T::Builder begin() {
      return strip_.next_root().template initAs<T>();
    }
    kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> end() {
      const auto segments = strip_.segments();
      ended_in_place_ = segments.size() == 1;
      return segments;
    }

   private:
    Strip& strip_;
    bool ended_in_place_ = false;
  };

 private:
  static constexpr std::size_t kWords = 8192;
  static constexpr std::size_t kTurn = 2048;  // the last message to start does so before this
  struct Free {
    void operator()(capnp::word* memory) const;
  };

  capnp::AnyPointer::Builder next_root() {
    if (!builder_ || used_ >= kTurn) start_over();
    std::memset(static_cast<void*>(memory_.get()), 0, sizeof(capnp::word));  // the message before is not to be cleared
    return *root_;
  }
  void start_over();
  kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments();

  std::unique_ptr<capnp::word[], Free> memory_;
  std::optional<ScratchBuilder> builder_;
  std::optional<capnp::AnyPointer::Builder> root_;  // at memory_[0], of all messages in turn
  std::size_t used_ = 0;                            // words, by the messages so far
  kj::ArrayPtr<const capnp::word> message_;
  SentHandles handles_;
  bool busy_ = false;
};

// One builder a thread and type for flat structs: setting one up costs more than filling and sending the message.
template <class T>
class FlatScratch {
 public:
  static FlatScratch& of_thread() {
    static thread_local FlatScratch scratch;
    return scratch;
  }
  typename T::Builder clear() {
    std::memset(words_ + 1, 0, kDataWords * sizeof(capnp::word));
    return root_;
  }
  Payload payload() const { return {capnp::typeId<T>(), &segment_, 1, true}; }
  bool busy = false;

 private:
  static constexpr std::size_t kDataWords = T::_capnpPrivate::dataWordSize;
  capnp::word words_[kDataWords + 1] = {};
  ScratchBuilder builder_{kj::arrayPtr(words_, kDataWords + 1)};
  typename T::Builder root_ = builder_.initRoot<T>();
  kj::ArrayPtr<const capnp::word> segment_ = kj::arrayPtr(words_, kDataWords + 1);
};

// Builds a T with `fill`, then calls `use` with the payload, and returns what that returns.
template <class T, class Fill, class Use>
decltype(auto) build(Fill&& fill, Use&& use) {
  if constexpr (is_flat<T>) {
    auto& scratch = FlatScratch<T>::of_thread();
    if (!scratch.busy) {  // a `fill` that sends a T itself finds it busy
      struct Busy {
        bool& flag;
        explicit Busy(bool& f) : flag(f) { flag = true; }
        ~Busy() { flag = false; }
      } busy{scratch.busy};
      fill(scratch.clear());
      return use(scratch.payload());
    }
  }
  Strip& strip = Strip::of_thread();
  const auto pass_on = [&](kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) -> decltype(auto) {
    const auto& handles = strip.handles().ids;
    return use(Payload{capnp::typeId<T>(), segments.begin(), segments.size(), is_flat<T> && segments.size() == 1,
                       handles.empty() ? nullptr : &handles});
  };
  if (strip.busy()) {  // a `fill` or `use` that sends something itself
    struct Aside {
      explicit Aside(SentHandles& of_outer) : handles(of_outer), outer(std::exchange(of_outer, {})) {}
      ~Aside() { handles = std::move(outer); }
      SentHandles& handles;
      SentHandles outer;
    } aside(strip.handles());
    ScratchBuilder builder(nullptr);
    fill(builder.initRoot<T>());
    return pass_on(builder.getSegmentsForOutput());
  }
  Strip::Use message(strip);
  fill(message.template begin<T>());
  return pass_on(message.end());
}

// Calls `use` with a reader of the message.
template <class T, class Use>
decltype(auto) read(const Body& body, Use&& use) {
  if (body.checked) return use(capnp::readMessageUnchecked<T>(body.words));
  if (body.reader) return use(body.reader->template getRoot<T>());
  const auto words = kj::arrayPtr(body.words, body.count);
  if (body.segmented) {
    capnp::FlatArrayMessageReader reader(words, reader_options(body.count));
    return use(reader.getRoot<T>());
  }
  capnp::SegmentArrayMessageReader reader(kj::arrayPtr(&words, 1), reader_options(body.count));
  return use(reader.getRoot<T>());
}

}  // namespace detail

// A message that is kept: an owned, unchanging copy of a Cap'n Proto struct.
//
//     troupe::Message<Total> total([](Total::Builder total) { total.setValue(3); });
//     total->getValue();
//
// Copies share the same bytes.
//
// Threads: a value; different copies may be read by different threads at the same time.
template <class T>
class Message {
 public:
  Message() : Message([](typename T::Builder) {}) {}
  template <class Fill>
    requires std::is_invocable_v<Fill, typename T::Builder>
  explicit Message(Fill&& fill) {
    capnp::MallocMessageBuilder builder;
    fill(builder.initRoot<T>());
    keep(capnp::messageToFlatArray(builder));
  }
  explicit Message(typename T::Reader from) {
    capnp::MallocMessageBuilder builder;
    builder.setRoot(from);
    keep(capnp::messageToFlatArray(builder));
  }
  // From what bytes() gave, here or in another process. Throws kj::Exception if it is not a message.
  explicit Message(std::span<const std::byte> bytes) {
    auto words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
    std::memcpy(words.begin(), bytes.data(), words.asBytes().size());
    keep(kj::mv(words));
  }

  typename T::Reader operator*() const { return kept_->root; }
  const typename T::Reader* operator->() const { return &kept_->root; }
  // With the segment table of Cap'n Proto's stream format in front.
  [[nodiscard]] std::span<const std::byte> bytes() const {
    return std::as_bytes(std::span(kept_->words.begin(), kept_->words.size()));
  }

 private:
  struct Kept {
    explicit Kept(kj::Array<capnp::word> from)
        : words(kj::mv(from)), reader(words, options()), root(reader.template getRoot<T>()) {}
    ~Kept() noexcept {}
    // Read by its owner as often as he likes.
    static capnp::ReaderOptions options() { return {~std::uint64_t{0} >> 4, 64}; }
    kj::Array<capnp::word> words;
    capnp::FlatArrayMessageReader reader;
    typename T::Reader root;
  };
  void keep(kj::Array<capnp::word> words) { kept_ = std::make_shared<const Kept>(kj::mv(words)); }

  std::shared_ptr<const Kept> kept_;
};

}  // namespace troupe
