#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <deque>
#include <filesystem>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include <troupe/address.h>
#include <troupe/message.h>
#include <troupe/value_form.h>

// How the standard library's types lie in Cap'n Proto.
namespace troupe {

template <class Rep, class Period>
struct Codec<std::chrono::duration<Rep, Period>> {
  using Wire = Rep;
  static Rep pack(const std::chrono::duration<Rep, Period>& duration) { return duration.count(); }
  static auto unpack(Rep count) { return std::chrono::duration<Rep, Period>(count); }
};

// The time of day; that of the steady clock means something on one machine only.
template <class Duration>
struct Codec<std::chrono::time_point<std::chrono::system_clock, Duration>> {
  static constexpr std::string_view name = "time";
  using Wire = Duration;
  static Duration pack(std::chrono::time_point<std::chrono::system_clock, Duration> time) { return time.time_since_epoch(); }
  static auto unpack(Duration since) { return std::chrono::time_point<std::chrono::system_clock, Duration>(since); }
};

template <>
struct Codec<Address> {
  static constexpr std::string_view name = "address";
  using Wire = std::tuple<std::uint64_t, std::uint32_t, std::uint32_t>;
  static Wire pack(const Address& address) { return {address.process, address.slot, address.generation}; }
  static Address unpack(const Wire& wire) { return std::make_from_tuple<Address>(wire); }
};

namespace wire {

// A number of `E`s, each of the form F. `get` tells how an element of the container is shown to F.
template <class F>
struct ListForm {
  static constexpr Kind kKind = Kind::pointer;
  static constexpr bool kReceivable = F::kReceivable;
  static constexpr bool kHandles = F::kHandles;
  static constexpr std::size_t kExtra = kVaries;

  static constexpr Element element() {
    if constexpr (F::kKind == Kind::data) return element_of_bits(F::kBits);
    else return Element::pointer;
  }
  // The words of `count` elements, without what their pointers lead to.
  static constexpr std::size_t words(std::size_t count) {
    if constexpr (F::kKind == Kind::structure) return count == 0 ? 0 : list_words(count, F::kShape.words() * 64) + 1;
    else return list_words(count, bits_of_element(element()));
  }

  template <class C>
  static std::size_t extra(const C& values) {
    if constexpr (F::kExtra != kVaries) {
      return words(values.size()) + values.size() * F::kExtra;
    } else {
      std::size_t sum = words(values.size());
      for (const auto& value : values) sum += F::extra(value);
      return sum;
    }
  }
  template <class C>
  static void write(WireWriter& writer, std::byte* pointer, const C& values) {
    const std::size_t count = values.size();
    if (count == 0) return;
    if constexpr (F::kKind == Kind::structure) {
      std::byte* at = writer.put_struct_list(pointer, F::kShape, count);
      for (const auto& value : values) {
        F::fill(writer, at, value);
        at += F::kShape.words() * kWord;
      }
    } else {
      std::byte* at = writer.put_list(pointer, element(), count);
      std::size_t i = 0;
      for (const auto& value : values) {
        if constexpr (F::kKind == Kind::data) F::put(writer, at, i++ * F::kBits, value);
        else F::write(writer, at + i++ * kWord, value);
      }
    }
  }
  // Calls start(count), then add(element) with each.
  template <class Start, class Add>
  static void read(WireReader& reader, const std::byte* pointer, Start&& start, Add&& add) {
    if constexpr (F::kKind == Kind::structure) {
      const auto list = reader.get_struct_list(pointer, F::kShape);
      start(list.count);
      for (std::size_t i = 0; i < list.count; ++i) add(F::read(reader, list.at + i * F::kShape.words() * kWord));
    } else {
      const auto list = reader.get_list(pointer, element());
      start(list.count);
      for (std::size_t i = 0; i < list.count; ++i) {
        if constexpr (F::kKind == Kind::data) add(F::get(reader, list.at, i * F::kBits));
        else add(F::read(reader, list.at + i * kWord));
      }
    }
  }
};

// Of scalars that lie one behind another in memory too.
template <class T>
struct ArrayOfScalarsForm : ListForm<Form<T>> {
  template <class C>
  static void write(WireWriter& writer, std::byte* pointer, const C& values) {
    if (values.size() == 0) return;
    std::byte* at = writer.put_list(pointer, element_of_bits(sizeof(T) * 8), values.size());
    std::memcpy(at, values.data(), values.size() * sizeof(T));
  }
  static WireReader::List list(WireReader& reader, const std::byte* pointer) {
    return reader.get_list(pointer, element_of_bits(sizeof(T) * 8));
  }
};

template <class T>
struct VectorForm : ListForm<Form<T>> {
  static constexpr auto kTypes = "vector<" + Form<T>::kTypes + ">";
};
template <>
struct VectorForm<std::byte> : ListForm<Form<std::byte>> {
  static constexpr auto kTypes = type_text("bytes");
};

// Reads into what has push_back().
template <class C, class T>
struct SequenceForm : VectorForm<T> {
  static C read(WireReader& reader, const std::byte* pointer) {
    C made;
    const auto start = [&](std::size_t count) {
      if constexpr (requires { made.reserve(count); }) made.reserve(count);
    };
    ListForm<Form<T>>::read(reader, pointer, start, [&](T&& value) { made.push_back(std::move(value)); });
    return made;
  }
};

template <class T>
  requires HasForm<T>
struct Form<std::vector<T>> : SequenceForm<std::vector<T>, T> {};
template <class T>
  requires(HasForm<T> && kAsInMemory<T>)
struct Form<std::vector<T>> : VectorForm<T> {
  static void write(WireWriter& writer, std::byte* pointer, const std::vector<T>& values) {
    ArrayOfScalarsForm<T>::write(writer, pointer, values);
  }
  static std::vector<T> read(WireReader& reader, const std::byte* pointer) {
    const auto list = ArrayOfScalarsForm<T>::list(reader, pointer);
    if constexpr (sizeof(T) == 1) {
      const auto* first = reinterpret_cast<const T*>(list.at);
      return {first, first + list.count};
    }
    std::vector<T> made(list.count);
    if (list.count != 0) std::memcpy(made.data(), list.at, list.count * sizeof(T));
    return made;
  }
};
template <class T>
  requires HasForm<T>
struct Form<std::deque<T>> : SequenceForm<std::deque<T>, T> {};
template <class T>
  requires HasForm<T>
struct Form<std::list<T>> : SequenceForm<std::list<T>, T> {};
template <class T>
  requires kAsInMemory<std::remove_cv_t<T>>
struct Form<std::span<T>> : VectorForm<std::remove_cv_t<T>> {
  static constexpr bool kReceivable = false;
  static void write(WireWriter& writer, std::byte* pointer, std::span<T> values) {
    ArrayOfScalarsForm<std::remove_cv_t<T>>::write(writer, pointer, values);
  }
};

template <class T, std::size_t N>
  requires HasForm<T>
struct Form<std::array<T, N>> : ListForm<Form<T>> {
  using List = ListForm<Form<T>>;
  static constexpr auto kTypes = "array<" + Form<T>::kTypes + ", " + number_text<N>() + ">";
  static constexpr bool kFixed = N == 0 || Form<T>::kExtra != kVaries;
  static constexpr std::size_t kExtra = kFixed ? List::words(N) + N * Form<T>::kExtra : kVaries;
  static void write(WireWriter& writer, std::byte* pointer, const std::array<T, N>& values) {
    if constexpr (kAsInMemory<T>) ArrayOfScalarsForm<T>::write(writer, pointer, values);
    else List::write(writer, pointer, values);
  }
  static std::array<T, N> read(WireReader& reader, const std::byte* pointer) {
    std::array<T, N> made{};
    std::size_t i = 0;
    const auto start = [](std::size_t count) {
      if (count != N) refuse_value("an array is not as long as its type says");
    };
    List::read(reader, pointer, start, [&](T&& value) { made[i++] = std::move(value); });
    return made;
  }
};

// Reads into what has emplace_hint(); elements that are equal stay together only in multisets.
template <class C, class F>
C read_tree(WireReader& reader, const std::byte* pointer) {
  C made;
  std::size_t expected = 0;
  ListForm<F>::read(reader, pointer, [&](std::size_t count) { expected = count; },
                    [&](auto&& value) { made.emplace_hint(made.end(), std::move(value)); });
  if (made.size() != expected) refuse_value("a set or map has an element twice");
  return made;
}

template <class C>
struct SetForm : ListForm<Form<typename C::key_type>> {
  static constexpr auto kTypes = "set<" + Form<typename C::key_type>::kTypes + ">";
  static C read(WireReader& reader, const std::byte* pointer) {
    return read_tree<C, Form<typename C::key_type>>(reader, pointer);
  }
};
template <class T, class... More>
  requires HasForm<T>
struct Form<std::set<T, More...>> : SetForm<std::set<T, More...>> {};
template <class T, class... More>
  requires HasForm<T>
struct Form<std::unordered_set<T, More...>> : SetForm<std::unordered_set<T, More...>> {};

template <class C>
struct MapForm : ListForm<Form<std::pair<typename C::key_type, typename C::mapped_type>>> {
  using Key = typename C::key_type;
  using Mapped = typename C::mapped_type;
  static constexpr auto kTypes = "map<" + Form<Key>::kTypes + ", " + Form<Mapped>::kTypes + ">";
  static C read(WireReader& reader, const std::byte* pointer) {
    return read_tree<C, Form<std::pair<Key, Mapped>>>(reader, pointer);
  }
};
template <class K, class M, class... More>
  requires(HasForm<K> && HasForm<M>)
struct Form<std::map<K, M, More...>> : MapForm<std::map<K, M, More...>> {};
template <class K, class M, class... More>
  requires(HasForm<K> && HasForm<M>)
struct Form<std::unordered_map<K, M, More...>> : MapForm<std::unordered_map<K, M, More...>> {};

// The struct behind a pointer that stands for one value: that of the value itself, or one with a single field.
template <class F>
struct BoxForm : FieldsForm<F> {
  template <class T>
  static std::size_t extra(const T& value) {
    return field_extra<F>(value);
  }
  template <class T>
  static void fill(WireWriter& writer, std::byte* at, const T& value) {
    put_field<F>(writer, at, BoxForm::kShape, 0, value);
  }
  static auto read(WireReader& reader, const std::byte* at) { return get_field<F>(reader, at, BoxForm::kShape, 0); }
};
template <class F>
  requires(F::kKind == Kind::structure)
struct BoxForm<F> : F {};

template <class T>
  requires HasForm<T>
struct Form<std::optional<T>> {
  using Box = BoxForm<Form<T>>;
  static constexpr Kind kKind = Kind::pointer;
  static constexpr auto kTypes = "optional<" + Form<T>::kTypes + ">";
  static constexpr bool kReceivable = Form<T>::kReceivable;
  static constexpr bool kHandles = Form<T>::kHandles;
  static constexpr std::size_t kExtra = kVaries;
  static std::size_t extra(const std::optional<T>& value) { return value ? Box::kShape.words() + extra_of<Box>(*value) : 0; }
  static void write(WireWriter& writer, std::byte* pointer, const std::optional<T>& value) {
    if (value) Box::fill(writer, writer.put_struct(pointer, Box::kShape), *value);
  }
  static std::optional<T> read(WireReader& reader, const std::byte* pointer) {
    const std::byte* at = reader.get_struct(pointer, Box::kShape);
    if (!at) return std::nullopt;
    return std::optional<T>(std::in_place, Box::read(reader, at));
  }
};

// A struct of the number of the alternative, then room for any of them: a word if one is a scalar, a pointer if one is not.
template <class... T>
  requires(HasForm<T> && ...)
struct Form<std::variant<T...>> {
  using Variant = std::variant<T...>;
  static constexpr Kind kKind = Kind::structure;
  static constexpr auto kTypes = "variant<" + joined_text(Form<T>::kTypes...) + ">";
  static constexpr bool kReceivable = (Form<T>::kReceivable && ...);
  static constexpr bool kHandles = (Form<T>::kHandles || ...);
  static constexpr Shape kShape = {1 + ((Form<T>::kKind == Kind::data) || ...), ((Form<T>::kKind != Kind::data) || ...)};
  static constexpr std::size_t kExtra = ((Form<T>::kKind == Kind::data) && ...) ? 0 : kVaries;
  template <class One>
  static constexpr unsigned kSlot = Form<One>::kKind == Kind::data ? 64 : 0;

  static std::size_t extra(const Variant& value) {
    return std::visit([]<class One>(const One& one) { return field_extra<Form<One>>(one); }, value);
  }
  static void fill(WireWriter& writer, std::byte* at, const Variant& value) {
    std::visit(
        [&]<class One>(const One& one) {
          store(at, static_cast<std::uint16_t>(value.index()));
          put_field<Form<One>>(writer, at, kShape, kSlot<One>, one);
        },
        value);
  }
  static Variant read(WireReader& reader, const std::byte* at) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      using Read = Variant (*)(WireReader&, const std::byte*);
      static constexpr Read kReads[] = {[](WireReader& from, const std::byte* place) {
        return Variant(std::in_place_index<I>, get_field<Form<T>>(from, place, kShape, kSlot<T>));
      }...};
      const auto index = load<std::uint16_t>(at);
      if (index >= sizeof...(T)) refuse_value("a variant has no such alternative");
      return kReads[index](reader, at);
    }(std::index_sequence_for<T...>());
  }
};

// A duration names its unit: "duration<int64, 1/1000>".
template <class Rep, class Period>
  requires Scalar<Rep>
struct Form<std::chrono::duration<Rep, Period>> : CodecForm<std::chrono::duration<Rep, Period>> {
  static constexpr auto kTypes =
      "duration<" + Form<Rep>::kTypes + ", " + number_text<Period::num>() + "/" + number_text<Period::den>() + ">";
};

// The native bytes of the path.
template <>
struct Form<std::filesystem::path> : Form<std::string> {
  static std::size_t extra(const std::filesystem::path& path) { return TextForm::extra(path.native()); }
  static void write(WireWriter& writer, std::byte* pointer, const std::filesystem::path& path) {
    TextForm::write(writer, pointer, path.native());
  }
  static std::filesystem::path read(WireReader& reader, const std::byte* pointer) { return {view(reader, pointer)}; }
};

// Follows all of a message, so that no pointer leads out of it and it costs its reader no more than it is long. Throws
// ProtocolError.
void check_message(std::span<const std::byte> stream);

// A message travels as it is, segments and all: Data in a struct of other values.
template <class T>
struct Form<Message<T>> : ListForm<Form<std::byte>> {
  static constexpr auto kTypes = "message<" + copied_text<StructName<T>>() + " " + number_text<capnp::typeId<T>()>() + ">";
  static std::size_t extra(const Message<T>& message) { return ListForm<Form<std::byte>>::extra(message.bytes()); }
  static void write(WireWriter& writer, std::byte* pointer, const Message<T>& message) {
    ArrayOfScalarsForm<std::byte>::write(writer, pointer, message.bytes());
  }
  static Message<T> read(WireReader& reader, const std::byte* pointer) {
    const auto list = ArrayOfScalarsForm<std::byte>::list(reader, pointer);
    const std::span<const std::byte> stream(list.at, list.count);
    check_message(stream);
    return Message<T>(stream);
  }
};

}  // namespace wire
}  // namespace troupe
