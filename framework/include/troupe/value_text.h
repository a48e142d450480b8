#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

// Text put together at compile time: the name of a type as it travels.
namespace troupe::wire {

template <std::size_t N>
struct TypeText {
  std::array<char, N> chars{};
  constexpr operator std::string_view() const { return {chars.data(), N}; }
};

template <std::size_t N>
consteval TypeText<N - 1> type_text(const char (&literal)[N]) {
  TypeText<N - 1> text;
  std::copy_n(literal, N - 1, text.chars.begin());
  return text;
}

template <std::size_t A, std::size_t B>
consteval TypeText<A + B> operator+(const TypeText<A>& a, const TypeText<B>& b) {
  TypeText<A + B> text;
  std::copy_n(a.chars.begin(), A, text.chars.begin());
  std::copy_n(b.chars.begin(), B, text.chars.begin() + A);
  return text;
}
template <std::size_t A, std::size_t B>
consteval auto operator+(const TypeText<A>& a, const char (&b)[B]) {
  return a + type_text(b);
}
template <std::size_t A, std::size_t B>
consteval auto operator+(const char (&a)[A], const TypeText<B>& b) {
  return type_text(a) + b;
}

template <unsigned long long Number>
consteval auto number_text() {
  constexpr auto digits = [] {
    std::size_t count = 1;
    for (auto rest = Number; rest >= 10; rest /= 10) ++count;
    return count;
  }();
  TypeText<digits> text;
  auto rest = Number;
  for (std::size_t i = digits; i-- > 0; rest /= 10) text.chars[i] = static_cast<char>('0' + rest % 10);
  return text;
}

// What the names of a Codec and of fields are made of; the former may be several words.
constexpr bool is_name_character(char c) {
  return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

constexpr bool is_type_name(std::string_view name, bool words = true) {
  bool previous = false;  // a character of a word
  for (const char c : name) {
    if (!is_name_character(c) && (!words || c != ' ' || !previous)) return false;
    previous = c != ' ';
  }
  return previous;
}

// Of a Cap'n Proto struct: "Order", for shop::Order.
template <class T>
struct StructName {
  static constexpr std::string_view text() {
    std::string_view name = __PRETTY_FUNCTION__;  // "… [with T = shop::Order; …]" of g++, "… [T = shop::Order]" of clang
    name.remove_prefix(name.find("T = ") + 4);
    std::size_t begin = 0;
    std::size_t end = 0;
    for (; end < name.size() && (is_name_character(name[end]) || name[end] == ':'); ++end)
      if (name[end] == ':') begin = end + 1;
    return name.substr(begin, end - begin);
  }
};

// A text that `Source::text()` has, which is not a literal.
template <class Source>
consteval auto copied_text() {
  constexpr std::string_view from = Source::text();
  TypeText<from.size()> text;
  std::copy_n(from.begin(), from.size(), text.chars.begin());
  return text;
}

// "a, b, c"
consteval TypeText<0> joined_text() { return {}; }
template <std::size_t N>
consteval auto joined_text(const TypeText<N>& only) {
  return only;
}
template <std::size_t N, class... More>
consteval auto joined_text(const TypeText<N>& first, const More&... more) {
  return first + ", " + joined_text(more...);
}

}  // namespace troupe::wire
