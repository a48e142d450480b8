#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <troupe/value_fields.h>
#include <troupe/value_text.h>
#include <troupe/value_wire.h>

// How C++ types lie in Cap'n Proto: forms of scalars, strings and structs, of which value_containers.h makes the rest.
namespace troupe {

// How a type of yours travels that none of the other ways suits: as a value of another type, under a name of its own.
//
//     template <>
//     struct troupe::Codec<Fraction> {
//       static constexpr std::string_view name = "fraction";
//       using Wire = std::tuple<int, int>;
//       static Wire pack(const Fraction& f) { return {f.numerator(), f.denominator()}; }
//       static Fraction unpack(Wire wire) { return {std::get<0>(wire), std::get<1>(wire)}; }  // or throws ProtocolError
//     };
//
// A handle takes attachments besides: pack(value, Attachments&) and unpack(wire, const Attachments&); its Wire must be of fixed
// size. With `using Of = T;` one of another T is another type: "queue<int, uint>".
template <class T>
struct Codec;

namespace wire {

// A scalar lies in the data section of a struct, a structure is a struct of its own (in a list: an element), and everything
// else is an object behind a pointer.
enum class Kind { data, pointer, structure };

// What is known of a type that can be sent:
//   kKind, kTypes (its name), kReceivable (false for views), kHandles (some may be in it), kExtra (the words that its pointers
//   lead to, or kVaries)
//   of data: kBits, put(writer, section, bit, value), get(reader, section, bit)
//   of pointers: write(writer, pointer, value), read(reader, pointer)
//   of structures: kShape, fill(writer, struct, value), read(reader, struct)
//   of pointers and structures whose kExtra is kVaries: extra(value)
template <class T>
struct Form;

inline constexpr std::size_t kVaries = ~std::size_t{0};
constexpr std::size_t plus(std::size_t a, std::size_t b) { return a == kVaries || b == kVaries ? kVaries : a + b; }

template <class T>
concept HasForm = requires { Form<T>::kKind; };
template <class T>
concept HasCodec = requires { typename Codec<T>::Wire; };

template <class F, class T>
std::size_t extra_of(const T& value) {
  if constexpr (F::kExtra == kVaries) return F::extra(value);
  else return F::kExtra;
}

// A form as a field of a struct: a structure is behind a pointer there.
template <class F>
constexpr std::size_t field_extra() {
  if constexpr (F::kKind == Kind::structure) return plus(F::kShape.words(), F::kExtra);
  else return F::kExtra;
}
template <class F, class T>
std::size_t field_extra(const T& value) {
  if constexpr (F::kKind == Kind::structure) return F::kShape.words() + extra_of<F>(value);
  else return extra_of<F>(value);
}

// Where fields lie: data by their bit, pointers by their number.
template <std::size_t N>
struct Layout {
  Shape shape;
  std::array<unsigned, N> slot{};
};

template <class F, class T>
void put_field(WireWriter& writer, std::byte* at, Shape shape, unsigned slot, const T& value) {
  std::byte* pointer = at + (shape.data + slot) * kWord;
  if constexpr (F::kKind == Kind::data) F::put(writer, at, slot, value);
  else if constexpr (F::kKind == Kind::pointer) F::write(writer, pointer, value);
  else F::fill(writer, writer.put_struct(pointer, F::kShape), value);
}
template <class F>
auto get_field(WireReader& reader, const std::byte* at, Shape shape, unsigned slot) {
  const std::byte* pointer = at + (shape.data + slot) * kWord;
  if constexpr (F::kKind == Kind::data) return F::get(reader, at, slot);
  else if constexpr (F::kKind == Kind::pointer) return F::read(reader, pointer);
  else return F::read(reader, reader.get_required_struct(pointer, F::kShape));
}

// Gives room in data sections as Cap'n Proto's compiler does, so that a struct here and a schema with the same fields in the
// same order are the same: a field goes to the smallest hole that it fits, else to a new word.
class DataRoom {
 public:
  // The bit where 1 << `size` bits may lie.
  constexpr unsigned take(unsigned size) {
    if (const auto place = try_take(size)) return *place << size;
    unsigned place = static_cast<unsigned>(words_++) << (6 - size);
    const unsigned bit = place << size;
    for (++place; size < 6; ++size, place = (place + 1) / 2) holes_[size] = place;
    return bit;
  }
  [[nodiscard]] constexpr std::uint16_t words() const { return words_; }

 private:
  constexpr std::optional<unsigned> try_take(unsigned size) {
    if (size >= 6) return std::nullopt;
    if (holes_[size] != 0) return std::exchange(holes_[size], 0);
    const auto larger = try_take(size + 1);
    if (!larger) return std::nullopt;
    holes_[size] = *larger * 2 + 1;
    return *larger * 2;
  }
  // Of each size the place of one, in units of that size. 0 is none: the first place is never a hole.
  std::array<unsigned, 6> holes_{};
  std::uint16_t words_ = 0;
};

constexpr unsigned log_of_bits(unsigned bits) { return static_cast<unsigned>(std::countr_zero(bits)); }

template <class... F>
constexpr auto layout_of() {
  Layout<sizeof...(F)> layout;
  DataRoom room;
  std::size_t i = 0;
  [[maybe_unused]] const auto place = [&]<class One>(std::type_identity<One>) {
    if constexpr (One::kKind == Kind::data) layout.slot[i++] = room.take(log_of_bits(One::kBits));
    else layout.slot[i++] = layout.shape.pointers++;
  };
  (place(std::type_identity<F>{}), ...);
  layout.shape.data = room.words();
  // Nothing is free: a list of nothings could be of any length.
  if (layout.shape.words() == 0) layout.shape.data = 1;
  return layout;
}

// Fields of the forms F together.
template <class... F>
struct FieldsForm {
  static constexpr Kind kKind = Kind::structure;
  static constexpr bool kReceivable = (F::kReceivable && ...);
  static constexpr bool kHandles = (F::kHandles || ...);
  static constexpr auto kLayout = layout_of<F...>();
  static constexpr Shape kShape = kLayout.shape;
  static constexpr std::size_t kExtra = [] {
    std::size_t sum = 0;
    ((sum = plus(sum, field_extra<F>())), ...);
    return sum;
  }();

  template <class... T>
  static std::size_t extra(const std::tuple<T...>& values) {
    return std::apply([](const auto&... value) { return (std::size_t{0} + ... + field_extra<F>(value)); }, values);
  }
  template <class... T>
  static void fill([[maybe_unused]] WireWriter& writer, [[maybe_unused]] std::byte* at, const std::tuple<T...>& values) {
    std::apply(
        [&](const auto&... value) {
          [[maybe_unused]] std::size_t i = 0;
          (put_field<F>(writer, at, kShape, kLayout.slot[i++], value), ...);
        },
        values);
  }
  // Braces, because they are evaluated from left to right.
  template <class Made>
  static Made make([[maybe_unused]] WireReader& reader, [[maybe_unused]] const std::byte* at) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return Made{get_field<F>(reader, at, kShape, kLayout.slot[I])...};
    }(std::index_sequence_for<F...>());
  }
};

// Scalars.

template <class T>
concept Scalar =
    (std::is_integral_v<T> && sizeof(T) <= 8) || std::is_enum_v<T> || std::is_same_v<T, float> || std::is_same_v<T, double>;

template <class T>
consteval auto integer_text() {
  constexpr bool is_signed = std::is_signed_v<T>;
  if constexpr (std::is_same_v<T, bool>) return type_text("bool");
  else if constexpr (std::is_same_v<T, char>) return type_text("char");
  else if constexpr (sizeof(T) == 4 && is_signed) return type_text("int");
  else if constexpr (sizeof(T) == 4) return type_text("uint");
  else if constexpr (is_signed) return "int" + number_text<sizeof(T) * 8>();
  else return "uint" + number_text<sizeof(T) * 8>();
}
template <class T>
consteval auto scalar_text() {
  if constexpr (std::is_same_v<T, std::byte>) return type_text("byte");
  else if constexpr (std::is_enum_v<T>) return integer_text<std::underlying_type_t<T>>();
  else if constexpr (std::is_same_v<T, float>) return type_text("float");
  else if constexpr (std::is_same_v<T, double>) return type_text("double");
  else return integer_text<T>();
}

template <Scalar T>
  requires(!HasCodec<T>)
struct Form<T> {
  static constexpr Kind kKind = Kind::data;
  static constexpr auto kTypes = scalar_text<T>();
  static constexpr bool kReceivable = true;
  static constexpr bool kHandles = false;
  static constexpr std::size_t kExtra = 0;
  static constexpr unsigned kBits = std::is_same_v<T, bool> ? 1 : sizeof(T) * 8;

  static void put(WireWriter&, std::byte* section, std::size_t bit, T value) {
    if constexpr (kBits == 1) section[bit / 8] |= std::byte{value} << (bit % 8);
    else store(section + bit / 8, value);
  }
  static T get(WireReader&, const std::byte* section, std::size_t bit) {
    if constexpr (kBits == 1) return (section[bit / 8] >> (bit % 8) & std::byte{1}) != std::byte{0};
    else return load<T>(section + bit / 8);
  }
};

// Lies in lists as it lies in memory.
template <class T>
inline constexpr bool kAsInMemory = Scalar<T> && !std::is_same_v<T, bool> && !HasCodec<T>;

// Strings. Text, with its end; an empty one is a null pointer.

struct TextForm {
  static constexpr Kind kKind = Kind::pointer;
  static constexpr auto kTypes = type_text("string");
  static constexpr bool kHandles = false;
  static constexpr std::size_t kExtra = kVaries;
  static std::size_t extra(std::string_view text) { return text.empty() ? 0 : list_words(text.size() + 1, 8); }
  static void write(WireWriter& writer, std::byte* pointer, std::string_view text) {
    if (text.empty()) return;
    std::memcpy(writer.put_list(pointer, Element::byte, text.size() + 1), text.data(), text.size());
  }
  static std::string_view view(WireReader& reader, const std::byte* pointer) {
    const auto list = reader.get_list(pointer, Element::byte);
    if (list.count == 0) return {};
    if (list.at[list.count - 1] != std::byte{0}) refuse_value("a string has no end");
    return {reinterpret_cast<const char*>(list.at), list.count - 1};
  }
};
template <>
struct Form<std::string> : TextForm {
  static constexpr bool kReceivable = true;
  static std::string read(WireReader& reader, const std::byte* pointer) { return std::string(view(reader, pointer)); }
};
template <>
struct Form<std::string_view> : TextForm {
  static constexpr bool kReceivable = false;
};
template <std::size_t N>
struct Form<char[N]> : Form<std::string_view> {};

// Structs.

template <class... T>
  requires(HasForm<T> && ...)
struct Form<std::tuple<T...>> : FieldsForm<Form<T>...> {
  using Fields = FieldsForm<Form<T>...>;
  static constexpr auto kTypes = "(" + joined_text(Form<T>::kTypes...) + ")";
  static auto read(WireReader& reader, const std::byte* at) { return Fields::template make<std::tuple<T...>>(reader, at); }
};
template <class A, class B>
  requires(HasForm<A> && HasForm<B>)
struct Form<std::pair<A, B>> : Form<std::tuple<A, B>> {
  using Fields = FieldsForm<Form<A>, Form<B>>;
  // Of any pair, for that of a map has a constant key.
  template <class Pair>
  static std::size_t extra(const Pair& value) {
    return Fields::extra(std::tie(value.first, value.second));
  }
  template <class Pair>
  static void fill(WireWriter& writer, std::byte* at, const Pair& value) {
    Fields::fill(writer, at, std::tie(value.first, value.second));
  }
  static auto read(WireReader& reader, const std::byte* at) { return Fields::template make<std::pair<A, B>>(reader, at); }
};

template <class Tuple>
struct TupleOf;
template <class... T>
struct TupleOf<std::tuple<T...>> {
  using Values = std::tuple<std::remove_cvref_t<T>...>;
  using Fields = FieldsForm<Form<std::remove_cvref_t<T>>...>;
  static constexpr bool kSendable = (HasForm<std::remove_cvref_t<T>> && ...);
};

template <class T, std::size_t... I>
consteval auto named_fields_text(std::index_sequence<I...>) {
  const auto one = []<std::size_t At>(std::integral_constant<std::size_t, At>) {
    struct Name {
      static constexpr std::string_view text() { return T::field_names[At]; }
    };
    static_assert(is_type_name(T::field_names[At], false), "the name of a field is letters, digits and _");
    using Field = std::tuple_element_t<At, typename TupleOf<FieldsOf<T>>::Values>;
    return copied_text<Name>() + ": " + Form<Field>::kTypes;
  };
  return "(" + joined_text(one(std::integral_constant<std::size_t, I>())...) + ")";
}

// A plain aggregate or a class that declares its fields travels as the tuple of them.
template <class T>
concept Aggregate = std::is_class_v<T> && std::is_aggregate_v<T> && !HasCodec<T> && !DeclaresFields<T> &&
                    !requires { std::tuple_size<T>::value; };
template <class T>
concept PlainStruct = (std::is_class_v<T> && !HasCodec<T> && DeclaresFields<T>) ||
                      (Aggregate<T> && FewFields<T> && !HasBase<T> && !HasArray<T>);

template <PlainStruct T>
  requires TupleOf<FieldsOf<T>>::kSendable
struct Form<T> : TupleOf<FieldsOf<T>>::Fields {
  using Tuple = TupleOf<FieldsOf<T>>;
  using Fields = typename Tuple::Fields;
  static constexpr auto kTypes = [] {
    if constexpr (NamesFields<T>) return named_fields_text<T>(std::make_index_sequence<std::tuple_size_v<FieldsOf<T>>>());
    else return Form<typename Tuple::Values>::kTypes;
  }();
  static std::size_t extra(const T& value) { return Fields::extra(fields_of(value)); }
  static void fill(WireWriter& writer, std::byte* at, const T& value) { Fields::fill(writer, at, fields_of(value)); }
  static T read(WireReader& reader, const std::byte* at) {
    if constexpr (DeclaresFields<T>) {
      T value{};
      T::fields(value) = Fields::template make<typename Tuple::Values>(reader, at);
      return value;
    } else {
      return Fields::template make<T>(reader, at);
    }
  }
};

// What travels as something else.

template <class T>
struct CodecForm : Form<typename Codec<T>::Wire> {
  using Wire = typename Codec<T>::Wire;
  using Base = Form<Wire>;
  static constexpr bool kAttaches = requires(const T& value, Attachments& attachments) { Codec<T>::pack(value, attachments); };
  static constexpr bool kHandles = kAttaches || Base::kHandles;
  static_assert(!kAttaches || Base::kExtra != kVaries, "what a handle travels as must be of fixed size");
  static constexpr auto kTypes = [] {
    if constexpr (requires { Codec<T>::name; }) {
      struct Name {
        static constexpr std::string_view text() { return Codec<T>::name; }
      };
      static_assert(is_type_name(Codec<T>::name), "the name of a Codec is words of letters, digits and _, with a space between");
      if constexpr (!requires { typename Codec<T>::Of; }) return copied_text<Name>() + "<" + Base::kTypes + ">";
      else return copied_text<Name>() + "<" + Form<typename Codec<T>::Of>::kTypes + ", " + Base::kTypes + ">";
    } else {
      return Base::kTypes;
    }
  }();
  static Wire pack(WireWriter& writer, const T& value) {
    if constexpr (kAttaches) return Codec<T>::pack(value, writer.attachments());
    else return Codec<T>::pack(value);
  }
  static T unpack(WireReader& reader, Wire wire) {
    if constexpr (kAttaches) return Codec<T>::unpack(std::move(wire), reader.attachments());
    else return Codec<T>::unpack(std::move(wire));
  }
  static std::size_t extra(const T& value) { return Base::extra(Codec<T>::pack(value)); }
  static void put(WireWriter& writer, std::byte* section, std::size_t bit, const T& value) {
    Base::put(writer, section, bit, pack(writer, value));
  }
  static T get(WireReader& reader, const std::byte* section, std::size_t bit) {
    return unpack(reader, Base::get(reader, section, bit));
  }
  static void write(WireWriter& writer, std::byte* pointer, const T& value) {
    Base::write(writer, pointer, pack(writer, value));
  }
  static void fill(WireWriter& writer, std::byte* at, const T& value) { Base::fill(writer, at, pack(writer, value)); }
  static T read(WireReader& reader, const std::byte* at) { return unpack(reader, Base::read(reader, at)); }
};
template <HasCodec T>
  requires HasForm<typename Codec<T>::Wire>
struct Form<T> : CodecForm<T> {};

}  // namespace wire
}  // namespace troupe
