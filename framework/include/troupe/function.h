#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace troupe {

template <class Signature>
class Function;

// A callable that is kept for later. Unlike std::function it takes what can only be moved, such as a lambda that holds a
// Responder, and small ones cost no allocation.
//
// Threads: a value; calling it is as safe as what it holds.
template <class Result, class... Args>
class Function<Result(Args...)> {
 public:
  Function() = default;
  Function(std::nullptr_t) {}
  template <class F>
    requires(!std::is_same_v<std::decay_t<F>, Function> && std::is_invocable_r_v<Result, std::decay_t<F>&, Args...>)
  Function(F&& callable) {  // NOLINT: converts, as std::function does
    using Held = std::decay_t<F>;
    if constexpr (fits<Held>) {
      new (room_) Held(std::forward<F>(callable));
      what_ = &kInside<Held>;
    } else {
      *reinterpret_cast<Held**>(room_) = new Held(std::forward<F>(callable));
      what_ = &kOutside<Held>;
    }
  }
  Function(Function&& other) noexcept { take(other); }
  Function& operator=(Function&& other) noexcept {
    if (this != &other) {
      clear();
      take(other);
    }
    return *this;
  }
  ~Function() { clear(); }

  explicit operator bool() const { return what_ != nullptr; }
  Result operator()(Args... args) { return what_->call(room_, std::forward<Args>(args)...); }

 private:
  struct What {
    Result (*call)(void* room, Args&&... args);
    void (*move)(void* to, void* from) noexcept;
    void (*destroy)(void* room) noexcept;
  };
  static constexpr std::size_t kRoom = 48;
  template <class Held>
  static constexpr bool fits =
      sizeof(Held) <= kRoom && alignof(Held) <= alignof(std::max_align_t) && std::is_nothrow_move_constructible_v<Held>;

  template <class Held>
  static constexpr What kInside = {
      [](void* room, Args&&... args) -> Result { return (*static_cast<Held*>(room))(std::forward<Args>(args)...); },
      [](void* to, void* from) noexcept {
        new (to) Held(std::move(*static_cast<Held*>(from)));
        static_cast<Held*>(from)->~Held();
      },
      [](void* room) noexcept { static_cast<Held*>(room)->~Held(); }};
  template <class Held>
  static constexpr What kOutside = {
      [](void* room, Args&&... args) -> Result { return (**static_cast<Held**>(room))(std::forward<Args>(args)...); },
      [](void* to, void* from) noexcept { *static_cast<Held**>(to) = *static_cast<Held**>(from); },
      [](void* room) noexcept { delete *static_cast<Held**>(room); }};

  void take(Function& other) noexcept {
    what_ = std::exchange(other.what_, nullptr);
    if (what_) what_->move(room_, other.room_);
  }
  void clear() noexcept {
    if (what_) std::exchange(what_, nullptr)->destroy(room_);
  }

  alignas(std::max_align_t) std::byte room_[kRoom];
  const What* what_ = nullptr;
};

}  // namespace troupe
