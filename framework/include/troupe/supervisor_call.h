#pragma once

#include <troupe/actor_process.h>

#include <cstddef>
#include <memory>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

// How an actor and what it is made with become bytes, so that it can be made again and again, here or in another process.
namespace troupe::detail {

struct ActorCall {
  std::unique_ptr<Actor> (*make)(Context& context, std::span<const std::byte> bytes) = nullptr;
  std::vector<std::byte> bytes;
};

template <class A, class... Values>
std::unique_ptr<Actor> make_actor(Context& context, std::span<const std::byte> bytes) {
  auto arguments = decode_values<Values...>(bytes);
  return std::apply(
      [&](auto&... values) -> std::unique_ptr<Actor> {
        if constexpr (std::is_constructible_v<A, Context&, Values&&...>) return std::make_unique<A>(context, std::move(values)...);
        else return std::make_unique<A>(context, as_parameter(values)...);
      },
      arguments);
}

template <class A, class... Args>
ActorCall make_actor_call(Args&&... args) {
  ActorCall call{&make_actor<A, Kept<Args>...>, {}};
  check_function(reinterpret_cast<const void*>(call.make));
  const std::tuple<Kept<Args>...> values(keep<Kept<Args>>(std::forward<Args>(args))...);
  const auto encoded = std::apply([](const auto&... value) { return encode_values(value...); }, values);
  call.bytes.assign(encoded.begin(), encoded.end());
  return call;
}

}  // namespace troupe::detail
