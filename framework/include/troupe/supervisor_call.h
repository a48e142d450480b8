#pragma once

#include <troupe/actor_process.h>

#include <cstddef>
#include <cstdint>
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
  std::vector<std::uint64_t> handles = {};       // among the arguments: see Attachments
  std::vector<std::shared_ptr<void>> kept = {};  // what they stand for
};

template <class A, class... Values>
std::unique_ptr<Actor> make_actor(Context& context, std::span<const std::byte> bytes) {
  const Attachments handles;  // say their own numbers
  auto arguments = decode_values<Values...>(bytes, &handles);
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
  Attachments attachments;
  std::apply(
      [&](const auto&... value) {
        call.bytes.resize(encoded_size(value...));
        encode_to(call.bytes, &attachments, value...);
      },
      values);
  call.handles = std::move(attachments.handles);
  for (const std::uint64_t handle : call.handles) call.kept.push_back(hold_handle(handle));
  return call;
}

}  // namespace troupe::detail
