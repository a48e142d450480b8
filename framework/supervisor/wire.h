#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include <troupe/death.h>

#include "message/death_record.h"
#include "supervisor/service.capnp.h"
#include "supervisor/spec.h"
#include "supervisor/tree.h"

namespace troupe::supervisor {

// Specifications as they travel. Of the work of a child only its owner knows how to write and read it.
class WorkForm {
 public:
  virtual ~WorkForm() = default;
  // Sets the union of `to`; not called for supervisors that stay supervisors.
  virtual void write(wire::Child::Builder to, const ChildSpec& from) const = 0;
  // Throws ProtocolError for what it does not know.
  [[nodiscard]] virtual std::shared_ptr<const Work> read(wire::Child::Reader from) const = 0;
};

void write(wire::Supervisor::Builder to, const SupervisorSpec& from, const WorkForm& form);
void write(wire::Child::Builder to, const ChildSpec& from, const WorkForm& form);

// What a supervisor knows of one of its children.
void write(wire::Known::Builder to, const Tree::View& from);

// Throw ProtocolError for what is no such value, too deep, or not allowed by spec_problem().
SupervisorSpec read(wire::Supervisor::Reader from, const WorkForm& form, unsigned depth = 0);
ChildSpec read(wire::Child::Reader from, const WorkForm& form, unsigned depth = 0);

// A whole message: its bytes, and what `use` makes of its root. Throws ProtocolError for nonsense.
std::vector<std::byte> bytes_of(capnp::MessageBuilder& message);
void read_order(std::span<const std::byte> bytes, const std::function<void(wire::Order::Reader)>& use);
void read_news(std::span<const std::byte> bytes, const std::function<void(wire::News::Reader)>& use);

}  // namespace troupe::supervisor
