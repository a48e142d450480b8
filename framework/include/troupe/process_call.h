#pragma once

#include <cstddef>
#include <cstring>
#include <new>
#include <span>
#include <string>
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
};

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
template <class F, class... Given>
  requires requires { &F::operator(); }
struct Parameters<F, Given...> {
  using Types = typename MemberParameters<decltype(&F::operator())>::Types;
};

// As what a value is kept that was given as T: text as a string.
template <class T>
using Kept = std::conditional_t<std::is_convertible_v<T, const char*>, std::string, std::decay_t<T>>;

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
    auto arguments = decode_values<std::decay_t<P>...>(bytes.subspan(kFunctionRoom<F>));
    return std::apply([&](auto&... values) { return call(function, static_cast<P&&>(values)...); }, arguments);
  }

 private:
  template <class... Values>
  static int call(F& function, Values&&... values) {
    using Result = std::invoke_result_t<F&, Values...>;
    if constexpr (std::is_integral_v<Result>) return static_cast<int>(function(std::forward<Values>(values)...));
    else return static_cast<void>(function(std::forward<Values>(values)...)), 0;
  }
};

template <class F>
void put_function(std::vector<std::byte>& bytes, const F& function) {
  if constexpr (std::is_pointer_v<F>) check_function(reinterpret_cast<const void*>(function));
  if constexpr (kFunctionRoom<F> > 0) {
    bytes.resize(kFunctionRoom<F>);
    std::memcpy(bytes.data(), &function, sizeof function);
    if constexpr (!std::is_pointer_v<F>) check_captures(std::span(bytes).first(sizeof function));
  }
}

template <class F, class... P, class... Args>
Call make_call_with(const F& function, std::type_identity<std::tuple<P...>>, Args&&... args) {
  static_assert(std::is_trivially_copyable_v<F>,
                "a function for another process may capture only what is trivially copyable: give the rest as arguments");
  static_assert(sizeof...(P) == sizeof...(Args), "the function takes another number of arguments");
  Call call;
  call.run = &Runner<F, P...>::run;
  check_function(reinterpret_cast<const void*>(call.run));
  put_function(call.bytes, function);
  const std::tuple<std::decay_t<P>...> values(std::forward<Args>(args)...);
  const auto encoded = std::apply([](const auto&... value) { return encode_values(value...); }, values);
  call.bytes.insert(call.bytes.end(), encoded.begin(), encoded.end());
  return call;
}

template <class F, class Tuple, std::size_t... I>
Call make_call_of(const F& function, Tuple& given, std::index_sequence<I...>) {
  using Types = typename Parameters<F, Kept<std::tuple_element_t<I, Tuple>>...>::Types;
  return make_call_with(function, std::type_identity<Types>(), std::get<I>(std::move(given))...);
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
