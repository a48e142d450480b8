#pragma once

#include <string>
#include <vector>

#include "node/tree.h"
#include "os/descriptor.h"
#include "os/epoll.h"
#include "process/client.h"
#include "process/heart.h"

namespace troupe::program {

enum class OnStop {
  end,     // SIGTERM does what it did: usually it ends the process, as in Python
  tell,    // SIGTERM becomes TreeEvents::stop_requested(), from now on and in all threads
};

// The tree of processes as a node sees it: root, by the connection of this process.
//
//     NodeTree tree(*process::Client::here(), OnStop::tell);
//     node::Node node(tree);
//
// One at a time in a process.
//
// Threads: as node::Tree says.
class NodeTree final : public node::Tree {
 public:
  NodeTree(process::Client& client, OnStop on_stop);
  ~NodeTree() override;
  NodeTree(const NodeTree&) = delete;
  NodeTree& operator=(const NodeTree&) = delete;

  [[nodiscard]] std::uint64_t self() const override { return client_.self(); }
  void connect(std::uint64_t process, const transport::LinkOptions& options, std::vector<os::Descriptor> ends) override;
  void register_name(const std::string& name, const Address& address) override;
  void look_up(std::uint64_t question, const std::string& name) override;
  void ready() override;
  void give(std::uint64_t process, const std::vector<std::uint64_t>& handles) override { client_.give_things(process, handles); }
  void take_back(std::uint64_t process, const std::vector<std::uint64_t>& handles) override { client_.things_arrived(process, handles); }
  [[nodiscard]] int descriptor() const override { return epoll_.descriptor(); }
  void pump(node::TreeEvents& events) override;
  [[nodiscard]] node::Watch* watch() override { return heart_ ? &watch_ : nullptr; }

 private:
  // The heart of this process beats for its node.
  class HeartWatch final : public node::Watch {
   public:
    explicit HeartWatch(process::Heart* heart) : heart_(heart) {}
    void awake() override { heart_->awake(); }
    void beat() override { heart_->beat(); }
    void asleep() override { heart_->asleep(); }

   private:
    process::Heart* heart_;
  };

  process::Client& client_;
  process::Heart* const heart_ = process::Heart::here();
  HeartWatch watch_{heart_};
  os::Epoll epoll_;         // root's news, and asked_to_stop_
  os::Descriptor asked_to_stop_;
};

}  // namespace troupe::program
