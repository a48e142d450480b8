#include <troupe/address.h>

#include <fmt/format.h>

#include <ostream>

namespace troupe {

void Address::write(schema::Address::Builder to) const {
  to.setProcess(process);
  to.setSlot(slot);
  to.setGeneration(generation);
}

std::string to_string(const Address& address) {
  return address ? fmt::format("{}.{}.{}", address.process, address.slot, address.generation) : "nobody";
}

std::ostream& operator<<(std::ostream& out, const Address& address) { return out << to_string(address); }

}  // namespace troupe
