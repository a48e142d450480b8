#pragma once

#include <cstddef>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

// The fields of a struct: those it declares, or, of a plain aggregate, those it has.
namespace troupe::wire {

// Declared: `static auto fields(auto& self) { return std::tie(self.name, self.age); }`.
template <class T>
concept DeclaresFields = requires(T& changeable, const T& constant) {
  T::fields(changeable);
  T::fields(constant);
};

struct AnyField {
  template <class T>
  operator T() const;
};
template <std::size_t>
using AnyFieldOf = AnyField;

template <class T, std::size_t... I>
constexpr bool takes_fields(std::index_sequence<I...>) {
  return requires { T{AnyFieldOf<I>{}...}; };
}
inline constexpr std::size_t kFieldsMax = 16;
template <class T, std::size_t N = kFieldsMax + 1>
constexpr std::size_t count_fields() {
  if constexpr (N == 0 || takes_fields<T>(std::make_index_sequence<N>())) return N;
  else return count_fields<T, N - 1>();
}

// What cannot be told apart so: a C array counts as its elements, a base class as one field.
template <class T>
struct AnyBaseOf {
  template <class Base>
    requires(std::is_base_of_v<Base, T> && !std::is_same_v<Base, T>)
  operator Base() const;
};
template <class T, std::size_t... Before, std::size_t... Inside, std::size_t... Behind>
constexpr bool takes_array(std::index_sequence<Before...>, std::index_sequence<Inside...>, std::index_sequence<Behind...>) {
  return requires { T{AnyFieldOf<Before>{}..., {AnyFieldOf<Inside>{}...}, AnyFieldOf<Behind>{}...}; };
}
// An array of `Size` is there if it takes the place of so many, and of no fewer.
template <class T, std::size_t At = 0, std::size_t Size = 2>
constexpr bool has_array() {
  constexpr std::size_t n = count_fields<T>();
  if constexpr (At + Size > n) {
    if constexpr (At + 2 >= n) return false;
    else return has_array<T, At + 1>();
  } else {
    constexpr std::make_index_sequence<At> before;
    constexpr std::make_index_sequence<Size> inside;
    return (takes_array<T>(before, inside, std::make_index_sequence<n - At - Size>()) &&
            !takes_array<T>(before, inside, std::make_index_sequence<n - At - Size + 1>())) ||
           has_array<T, At, Size + 1>();
  }
}

template <class T>
concept FewFields = count_fields<T>() <= kFieldsMax;
template <class T>
concept HasBase = requires { T{AnyBaseOf<T>{}}; };
template <class T>
concept HasArray = std::is_trivially_copyable_v<T> && FewFields<T> && has_array<T>();

// An aggregate as the tuple of references to its fields.
template <class T>
constexpr auto tie_aggregate(T& v) {
  constexpr std::size_t n = count_fields<std::remove_cv_t<T>>();
  if constexpr (n == 0) {
    return std::tie();
  } else if constexpr (n == 1) {
    auto& [a] = v;
    return std::tie(a);
  } else if constexpr (n == 2) {
    auto& [a, b] = v;
    return std::tie(a, b);
  } else if constexpr (n == 3) {
    auto& [a, b, c] = v;
    return std::tie(a, b, c);
  } else if constexpr (n == 4) {
    auto& [a, b, c, d] = v;
    return std::tie(a, b, c, d);
  } else if constexpr (n == 5) {
    auto& [a, b, c, d, e] = v;
    return std::tie(a, b, c, d, e);
  } else if constexpr (n == 6) {
    auto& [a, b, c, d, e, f] = v;
    return std::tie(a, b, c, d, e, f);
  } else if constexpr (n == 7) {
    auto& [a, b, c, d, e, f, g] = v;
    return std::tie(a, b, c, d, e, f, g);
  } else if constexpr (n == 8) {
    auto& [a, b, c, d, e, f, g, h] = v;
    return std::tie(a, b, c, d, e, f, g, h);
  } else if constexpr (n == 9) {
    auto& [a, b, c, d, e, f, g, h, i] = v;
    return std::tie(a, b, c, d, e, f, g, h, i);
  } else if constexpr (n == 10) {
    auto& [a, b, c, d, e, f, g, h, i, j] = v;
    return std::tie(a, b, c, d, e, f, g, h, i, j);
  } else if constexpr (n == 11) {
    auto& [a, b, c, d, e, f, g, h, i, j, k] = v;
    return std::tie(a, b, c, d, e, f, g, h, i, j, k);
  } else if constexpr (n == 12) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l] = v;
    return std::tie(a, b, c, d, e, f, g, h, i, j, k, l);
  } else if constexpr (n == 13) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m] = v;
    return std::tie(a, b, c, d, e, f, g, h, i, j, k, l, m);
  } else if constexpr (n == 14) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, o] = v;
    return std::tie(a, b, c, d, e, f, g, h, i, j, k, l, m, o);
  } else if constexpr (n == 15) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, o, p] = v;
    return std::tie(a, b, c, d, e, f, g, h, i, j, k, l, m, o, p);
  } else if constexpr (n == 16) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, o, p, q] = v;
    return std::tie(a, b, c, d, e, f, g, h, i, j, k, l, m, o, p, q);
  }
}

// Constant references to the fields.
template <class T>
constexpr auto fields_of(const T& value) {
  if constexpr (DeclaresFields<T>) return T::fields(value);
  else return tie_aggregate(value);
}

template <class T>
using FieldsOf = decltype(fields_of(std::declval<const T&>()));

// Their names, where declared: `static constexpr std::array field_names{"name", "age"};`.
template <class T>
concept NamesFields = requires { std::string_view(T::field_names[0]); };

}  // namespace troupe::wire
