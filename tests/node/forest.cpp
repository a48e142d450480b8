#include "node/forest.h"

#include <sys/eventfd.h>
#include <unistd.h>

namespace troupe::test {

Forest::~Forest() = default;

ForestTree& Forest::tree(std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  auto& tree = trees_[number];
  if (!tree) tree = std::make_unique<ForestTree>(*this, number);
  return *tree;
}

void Forest::kill(std::uint64_t number, const Death& death) {
  const std::lock_guard lock(mutex_);
  dead_.emplace(number, death);
  for (const auto& [one, other] : links_) {
    const std::uint64_t peer = one == number ? other : other == number ? one : 0;
    if (peer && trees_.contains(peer)) trees_[peer]->tell({.what = ForestTree::Event::What::down, .number = number, .death = death});
  }
}

void Forest::stop(std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  trees_.at(number)->tell({.what = ForestTree::Event::What::stop});
}

void Forest::connect(std::uint64_t from, std::uint64_t to, const transport::LinkOptions& options, std::vector<os::Descriptor> ends) {
  using What = ForestTree::Event::What;
  const std::lock_guard lock(mutex_);
  if (const auto dead = dead_.find(to); dead != dead_.end()) {
    trees_[from]->tell({.what = What::down, .number = to, .death = dead->second});
  } else if (!trees_.contains(to)) {
    trees_[from]->tell({.what = What::down, .number = to, .death = {Death::Cause::unreachable, 0, "no such process"}});
  } else {
    links_.insert({from, to});
    trees_[to]->tell({.what = What::offered, .number = from, .options = options, .ends = std::move(ends)});
  }
}

void Forest::look_up(std::uint64_t from, std::uint64_t question, const std::string& name) {
  using What = ForestTree::Event::What;
  const std::lock_guard lock(mutex_);
  const auto found = names_.find(name);
  if (found == names_.end()) {
    trees_[from]->tell({.what = What::not_found, .number = question, .death = {Death::Cause::unreachable, 0, "no " + name}});
  } else {
    trees_[from]->tell({.what = What::found, .number = question, .address = found->second});
  }
}

ForestTree::ForestTree(Forest& forest, std::uint64_t number)
    : forest_(forest), number_(number), bell_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void ForestTree::connect(std::uint64_t process, const transport::LinkOptions& options, std::vector<os::Descriptor> ends) {
  forest_.connect(number_, process, options, std::move(ends));
}

void ForestTree::register_name(const std::string& name, const Address& address) {
  const std::lock_guard lock(forest_.mutex_);
  forest_.names_[name] = address;
}

void ForestTree::look_up(std::uint64_t question, const std::string& name) { forest_.look_up(number_, question, name); }

void ForestTree::tell(Event event) {
  events_.push_back(std::move(event));
  static_cast<void>(::eventfd_write(bell_.get(), 1));
}

void ForestTree::pump(node::TreeEvents& events) {
  std::deque<Event> mine;
  {
    const std::lock_guard lock(forest_.mutex_);
    eventfd_t count = 0;
    static_cast<void>(::eventfd_read(bell_.get(), &count));
    mine.swap(events_);
  }
  for (Event& event : mine) {
    switch (event.what) {
      case Event::What::offered: events.offered(event.number, event.options, std::move(event.ends)); break;
      case Event::What::down: events.down(event.number, event.death); break;
      case Event::What::found: events.found(event.number, event.address, event.options); break;
      case Event::What::not_found: events.not_found(event.number, event.death); break;
      case Event::What::stop: events.stop_requested(); break;
    }
  }
}

}  // namespace troupe::test
