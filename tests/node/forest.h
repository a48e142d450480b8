#pragma once

#include <troupe/address.h>
#include <troupe/death.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "node/tree.h"
#include "os/descriptor.h"

namespace troupe::test {

class ForestTree;

// A tree of processes for tests, all of them in this one: what root does, without a root.
//
// Threads: any.
class Forest {
 public:
  Forest() = default;
  ~Forest();
  Forest(const Forest&) = delete;

  // The tree as process `number` sees it. Lives as long as the forest.
  ForestTree& tree(std::uint64_t number);
  // The process is dead: all that have a link with it hear of it.
  void kill(std::uint64_t number, const Death& death);
  // Asks the process to end in order.
  void stop(std::uint64_t number);

 private:
  friend class ForestTree;
  void connect(std::uint64_t from, std::uint64_t to, const transport::LinkOptions& options, std::vector<os::Descriptor> ends);
  void look_up(std::uint64_t from, std::uint64_t question, const std::string& name);

  std::mutex mutex_;
  std::map<std::uint64_t, std::unique_ptr<ForestTree>> trees_;
  std::map<std::uint64_t, Death> dead_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> links_;
  std::map<std::string, Address> names_;
};

class ForestTree final : public node::Tree {
 public:
  ForestTree(Forest& forest, std::uint64_t number);
  [[nodiscard]] std::uint64_t self() const override { return number_; }
  void connect(std::uint64_t process, const transport::LinkOptions& options, std::vector<os::Descriptor> ends) override;
  void register_name(const std::string& name, const Address& address) override;
  void look_up(std::uint64_t question, const std::string& name) override;
  void ready() override {}
  [[nodiscard]] int descriptor() const override { return bell_.get(); }
  void pump(node::TreeEvents& events) override;

 private:
  friend class Forest;
  struct Event {
    enum class What { offered, down, found, not_found, stop } what;
    std::uint64_t number = 0;
    transport::LinkOptions options;
    std::vector<os::Descriptor> ends;
    Death death;
    Address address;
  };
  void tell(Event event);  // with the forest's lock

  Forest& forest_;
  std::uint64_t number_;
  os::Descriptor bell_;
  std::deque<Event> events_;
};

}  // namespace troupe::test
