#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <troupe/value.h>

// How a function and its arguments become bytes that another process of the same image can run.
namespace troupe::detail {

// `run` is a function of the user's program that knows what the bytes mean.
struct Call {
  int (*run)(std::span<const std::byte> bytes) = nullptr;
  std::vector<std::byte> bytes;
  std::vector<std::uint64_t> handles = {};              // among the arguments: see Attachments
  std::vector<std::shared_ptr<void>> kept = {};         // what they stand for
};

// What the handle of this number stands for stays as long as the result. Null if this process does not use it.
std::shared_ptr<void> hold_handle(std::uint64_t id);

// What a function wants to be called with. One with several sets of parameters (overloaded, generic) takes what it is given.
template <class F, class... Given>
struct Parameters {
  using Types = std::tuple<Given...>;
};
template <class R, class... P, class... Given>
struct Parameters<R (*)(P...), Given...> {
  using Types = std::tuple<P...>;
};
template <class R, class... P, class... Given>
struct Parameters<R (*)(P...) noexcept, Given...> {
  using Types = std::tuple<P...>;
};
template <class T>
struct MemberParameters;
template <class C, class R, class... P>
struct MemberParameters<R (C::*)(P...) const> {
  using Types = std::tuple<P...>;
};
template <class C, class R, class... P>
struct MemberParameters<R (C::*)(P...)> {
  using Types = std::tuple<P...>;
};
template <class C, class R, class... P>
struct MemberParameters<R (C::*)(P...) const noexcept> {
  using Types = std::tuple<P...>;
};
template <class C, class R, class... P>
struct MemberParameters<R (C::*)(P...) noexcept> {
  using Types = std::tuple<P...>;
};
template <class F, class... Given>
  requires requires { &F::operator(); }
struct Parameters<F, Given...> {
  using Types = typename MemberParameters<decltype(&F::operator())>::Types;
};

// As what an argument of type T is kept until the function has run: what a view looks at is kept with it.
template <class T>
struct KeptAs {
  using Type = T;
};
template <>
struct KeptAs<const char*> : KeptAs<std::string> {};
template <>
struct KeptAs<char*> : KeptAs<std::string> {};  // given; a function that takes one would change a copy
template <>
struct KeptAs<std::string_view> : KeptAs<std::string> {};
template <class T>
struct KeptAs<std::span<const T>> : KeptAs<std::vector<T>> {};
template <class T>
using Kept = typename KeptAs<std::decay_t<T>>::Type;

template <class To, class From>
inline constexpr bool kViewed = (std::is_same_v<To, std::string> && std::is_convertible_v<From, std::string_view>);
template <class Item, class From>
inline constexpr bool kViewed<std::vector<Item>, From> = std::is_convertible_v<From, std::span<const Item>>;

template <class To, class From>
To keep(From&& from) {
  if constexpr (std::is_convertible_v<From, To>) {
    return std::forward<From>(from);
  } else if constexpr (std::is_same_v<To, std::string>) {
    return To(std::string_view(from));
  } else {
    const std::span<const typename To::value_type> items(from);
    return To(items.begin(), items.end());
  }
}

// What was kept, as a function with a parameter of type P takes it.
template <class P>
decltype(auto) pass(Kept<P>& kept) {
  if constexpr (std::is_same_v<Kept<P>, std::decay_t<P>>)
    return static_cast<P&&>(kept);
  else if constexpr (std::is_pointer_v<std::decay_t<P>>)
    return kept.c_str();
  else
    return std::decay_t<P>(kept);
}

// What a function would change in vain: the new process has copies.
template <class T>
inline constexpr bool kChangesCopy = std::is_lvalue_reference_v<T> && !std::is_const_v<std::remove_reference_t<T>>;
template <>
inline constexpr bool kChangesCopy<char*> = true;
template <class T>
inline constexpr bool kChangesCopy<std::span<T>> = !std::is_const_v<T>;

template <class...>
inline constexpr bool kNever = false;

// Whether the function's parameters P… can be had from what is given. One static_assert at most says why not.
template <class F, class... P, class... Args>
consteval bool fits(std::type_identity<std::tuple<P...>>, std::type_identity<std::tuple<Args...>>) {
  if constexpr (!std::is_trivially_copyable_v<F>) {
    static_assert(kNever<F>,
                  "a function for another process may capture only what is trivially copyable: give the rest as arguments");
  } else if constexpr (sizeof...(P) != sizeof...(Args)) {
    static_assert(kNever<F>, "the function for another process takes another number of arguments");
  } else if constexpr ((kChangesCopy<P> || ...)) {
    static_assert(kNever<F>,
                  "the function for another process would change a copy of its argument: let it take a value or a reference "
                  "to const, and send back what it finds");
  } else if constexpr (!((std::is_convertible_v<Args, Kept<P>> || kViewed<Kept<P>, Args>)&&...)) {
    static_assert(kNever<F>, "the function for another process takes other types of arguments than are given");
  } else if constexpr (!(Sendable<Kept<P>> && ...)) {
    (wire::check_receivable<Kept<P>>(), ...);  // says which, and why
  } else if constexpr (!std::is_invocable_v<F&, P...>) {
    static_assert(kNever<F>, "what is to run in another process cannot be called with these arguments");
  } else if constexpr (!std::is_void_v<std::invoke_result_t<F&, P...>> &&
                       !std::is_same_v<std::invoke_result_t<F&, P...>, int>) {
    static_assert(kNever<F>,
                  "a function for another process returns nothing or an int, its exit code: send other results as messages");
  } else {
    return true;
  }
  return false;
}

// Throws std::invalid_argument: the other processes do not have this function.
void check_function(const void* function);
// Throws std::invalid_argument if there is a pointer into the stack of this thread among the captures.
void check_captures(std::span<const std::byte> captures);

constexpr std::size_t padded(std::size_t size) { return (size + 7) / 8 * 8; }

// Room that the function itself takes in the bytes: none if it has no state.
template <class F>
inline constexpr std::size_t kFunctionRoom = std::is_empty_v<F> ? 0 : padded(sizeof(F));

template <class F, class... P>
struct Runner {
  static int run(std::span<const std::byte> bytes) {
    alignas(F) std::byte room[sizeof(F)]{};
    if constexpr (kFunctionRoom<F> > 0) std::memcpy(room, bytes.data(), sizeof(F));
    F& function = *std::launder(reinterpret_cast<F*>(room));
    const Attachments handles;  // say their own numbers
    auto arguments = decode_values<Kept<P>...>(bytes.subspan(kFunctionRoom<F>), &handles);
    const auto call = [&](auto&... values) { return function(pass<P>(values)...); };
    if constexpr (std::is_void_v<std::invoke_result_t<F&, P...>>)
      return std::apply(call, arguments), 0;
    else
      return std::apply(call, arguments);
  }
};

template <class F>
void put_function(std::vector<std::byte>& bytes, const F& function) {
  if constexpr (std::is_pointer_v<F>) {
    if (!function) throw std::invalid_argument("the function for another process is a null pointer");
    check_function(reinterpret_cast<const void*>(function));
  }
  if constexpr (kFunctionRoom<F> > 0) {
    bytes.resize(kFunctionRoom<F>);
    std::memcpy(bytes.data(), &function, sizeof function);
    if constexpr (!std::is_pointer_v<F>) check_captures(std::span(bytes).first(sizeof function));
  }
}

template <class F, class... P, class... Args>
Call make_call_with(const F& function, std::type_identity<std::tuple<P...>>, Args&&... args) {
  Call call;
  call.run = &Runner<F, P...>::run;
  check_function(reinterpret_cast<const void*>(call.run));
  put_function(call.bytes, function);
  const std::tuple<Kept<P>...> values(keep<Kept<P>>(std::forward<Args>(args))...);
  const std::size_t before = call.bytes.size();
  Attachments attachments;
  std::apply(
      [&](const auto&... value) {
        call.bytes.resize(before + encoded_size(value...));
        encode_to(std::span(call.bytes).subspan(before), &attachments, value...);
      },
      values);
  call.handles = std::move(attachments.handles);
  for (const std::uint64_t handle : call.handles) call.kept.push_back(hold_handle(handle));
  return call;
}

template <class F, class Tuple, std::size_t... I>
Call make_call_of(const F& function, [[maybe_unused]] Tuple& given, std::index_sequence<I...>) {
  if constexpr (std::is_member_pointer_v<F>) {
    static_assert(kNever<F>,
                  "a member function needs its object, which another process does not have: give a function or a lambda, or "
                  "derive a class from troupe::Process");
    return {};
  } else {
    using Types = typename Parameters<F, Kept<std::tuple_element_t<I, Tuple>>...>::Types;
    if constexpr (fits<F>(std::type_identity<Types>(), std::type_identity<std::tuple<std::tuple_element_t<I, Tuple>...>>()))
      return make_call_with(function, std::type_identity<Types>(), std::get<I>(std::move(given))...);
    else
      return {};
  }
}

template <class Options, class Tuple>
constexpr bool ends_with_options() {
  if constexpr (std::tuple_size_v<Tuple> == 0) return false;
  else return std::is_same_v<std::remove_cvref_t<std::tuple_element_t<std::tuple_size_v<Tuple> - 1, Tuple>>, Options>;
}

// In a new process, before it makes the Process that it is.
void enter_subclass();

template <class Self, class... Values>
void run_subclass(Values... values) {
  enter_subclass();
  Self process(std::move(values)...);
  process.run();
}

// The last argument may be the options.
template <class Options, class F, class... Args>
Call make_call(Options& options, const F& function, Args&&... args) {
  auto given = std::forward_as_tuple(std::forward<Args>(args)...);
  if constexpr (ends_with_options<Options, decltype(given)>()) {
    constexpr std::size_t kLast = sizeof...(Args) - 1;
    options = std::get<kLast>(std::move(given));
    return make_call_of(function, given, std::make_index_sequence<kLast>());
  } else {
    return make_call_of(function, given, std::index_sequence_for<Args...>());
  }
}

// What makes a Self from these arguments and runs it.
template <class Self, class Options, class... Args>
Call make_subclass_call(Options& options, Args&&... args) {
  auto given = std::forward_as_tuple(std::forward<Args>(args)...);
  constexpr std::size_t kOptions = ends_with_options<Options, decltype(given)>() ? 1 : 0;
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return make_call(options, &run_subclass<Self, Kept<std::tuple_element_t<I, std::tuple<Args...>>>...>, std::forward<Args>(args)...);
  }(std::make_index_sequence<sizeof...(Args) - kOptions>());
}

}  // namespace troupe::detail
