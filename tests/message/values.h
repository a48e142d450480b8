#pragma once

#include <troupe/value.h>

#include <troupe/address.h>
#include <troupe/errors.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

// Types of all kinds that can be sent, and values of any type.
namespace message_test {

enum class Colour : std::uint8_t { red, green };

struct Point {
  int x = 0;
  double y = 0;
  bool operator==(const Point&) const = default;
};

class Person {
 public:
  Person() = default;
  Person(std::string name, int age) : name_(std::move(name)), age_(age) {}
  static auto fields(auto& self) { return std::tie(self.name_, self.age_); }
  static constexpr std::array field_names{"name", "age"};
  bool operator==(const Person&) const = default;

 private:
  std::string name_;
  int age_ = 0;
};

struct Nothing {
  bool operator==(const Nothing&) const = default;
};

class Fraction {
 public:
  Fraction(int a, int b) : a_(a), b_(b) {
    if (b == 0) throw troupe::ProtocolError("a fraction of nothing");
  }
  [[nodiscard]] int a() const { return a_; }
  [[nodiscard]] int b() const { return b_; }
  bool operator==(const Fraction&) const = default;

 private:
  int a_, b_;
};

// As a handle will be.
template <class T>
struct Ticket {
  std::uint64_t id = 0;
  Ticket() = default;
  explicit Ticket(std::uint64_t number) : id(number) {}
};

}  // namespace message_test

template <>
struct troupe::Codec<message_test::Fraction> {
  static constexpr std::string_view name = "fraction";
  using Wire = std::tuple<int, int>;
  static Wire pack(const message_test::Fraction& f) { return {f.a(), f.b()}; }
  static message_test::Fraction unpack(Wire wire) { return std::make_from_tuple<message_test::Fraction>(wire); }
};

template <class T>
struct troupe::Codec<message_test::Ticket<T>> {
  static constexpr std::string_view name = "ticket";
  using Of = T;
  using Wire = std::uint32_t;
  static Wire pack(const message_test::Ticket<T>& ticket, Attachments& attachments) {
    attachments.handles.push_back(ticket.id);
    return static_cast<Wire>(attachments.handles.size() - 1);
  }
  static message_test::Ticket<T> unpack(Wire place, const Attachments& attachments) {
    if (place >= attachments.handles.size()) throw ProtocolError("no such attachment");
    return message_test::Ticket<T>(attachments.handles[place]);
  }
};

namespace message_test {

// Values of any type, mostly small, often at an end of their range.
class AnyValue {
 public:
  explicit AnyValue(unsigned seed) : random_(seed) {}

  template <class T>
  T make() {
    return make(std::type_identity<T>());
  }

 private:
  std::size_t count() { return random_() % 4 == 0 ? 0 : random_() % 6; }

  template <class T>
  requires std::is_integral_v<T> T make(std::type_identity<T>) {
    switch (random_() % 4) {
      case 0: return std::numeric_limits<T>::min();
      case 1: return std::numeric_limits<T>::max();
      default: return static_cast<T>(random_());
    }
  }
  template <class T>
  requires std::is_floating_point_v<T> T make(std::type_identity<T>) {
    return random_() % 4 == 0 ? -std::numeric_limits<T>::infinity() : static_cast<T>(static_cast<std::int64_t>(random_())) / 7;
  }
  Colour make(std::type_identity<Colour>) { return static_cast<Colour>(random_() % 2); }
  std::byte make(std::type_identity<std::byte>) { return static_cast<std::byte>(random_()); }
  std::string make(std::type_identity<std::string>) {
    std::string text(count() * 3, 'x');
    for (char& c : text) c = static_cast<char>(random_());
    return text;
  }
  std::filesystem::path make(std::type_identity<std::filesystem::path>) { return make<std::string>(); }
  Point make(std::type_identity<Point>) { return {make<int>(), make<double>()}; }
  Person make(std::type_identity<Person>) { return {make<std::string>(), make<int>()}; }
  Nothing make(std::type_identity<Nothing>) { return {}; }
  std::monostate make(std::type_identity<std::monostate>) { return {}; }
  Fraction make(std::type_identity<Fraction>) { return {make<int>(), 7}; }
  troupe::Address make(std::type_identity<troupe::Address>) { return {random_(), make<std::uint32_t>(), make<std::uint32_t>()}; }
  template <class R, class P>
  auto make(std::type_identity<std::chrono::duration<R, P>>) {
    return std::chrono::duration<R, P>(make<R>());
  }
  template <class D>
  auto make(std::type_identity<std::chrono::time_point<std::chrono::system_clock, D>>) {
    return std::chrono::time_point<std::chrono::system_clock, D>(make<D>());
  }
  template <class C>
  requires requires(C c) { c.insert(c.end(), *c.begin()); }
  C make(std::type_identity<C>) {
    C made;
    for (std::size_t i = count(); i > 0; --i) {
      if constexpr (requires { typename C::mapped_type; })
        made.insert({make<typename C::key_type>(), make<typename C::mapped_type>()});
      else made.insert(made.end(), make<typename C::value_type>());
    }
    return made;
  }
  template <class T, std::size_t N>
  auto make(std::type_identity<std::array<T, N>>) {
    std::array<T, N> made;
    for (T& value : made) value = make<T>();
    return made;
  }
  template <class T>
  auto make(std::type_identity<std::optional<T>>) {
    return random_() % 2 ? std::optional<T>(make<T>()) : std::nullopt;
  }
  template <class A, class B>
  auto make(std::type_identity<std::pair<A, B>>) {
    return std::pair<A, B>{make<A>(), make<B>()};
  }
  template <class... T>
  auto make(std::type_identity<std::tuple<T...>>) {
    return std::tuple<T...>{make<T>()...};
  }
  template <class... T>
  auto make(std::type_identity<std::variant<T...>>) {
    std::variant<T...> made;
    const auto which = random_() % sizeof...(T);
    std::size_t i = 0;
    ((i++ == which ? void(made = make<T>()) : void()), ...);
    return made;
  }

  std::mt19937_64 random_;
};

// One of each that is hard.
using Hard =
    std::tuple<std::map<std::string, std::vector<Person>>, std::vector<std::optional<Point>>,
               std::variant<int, std::string, Point>, std::vector<bool>, std::array<std::int16_t, 3>, std::vector<std::byte>,
               std::set<int>, Fraction, std::vector<std::vector<std::string>>, std::chrono::milliseconds>;

}  // namespace message_test
