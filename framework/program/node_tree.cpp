#include "program/node_tree.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <utility>

#include "base/check.h"
#include "os/check_call.h"
#include "os/signals.h"
#include "program/shared_thing.h"

namespace troupe::program {

namespace {

// Where the signal handler leaves its word; a handler knows nothing but globals.
std::atomic<int> stop_bell = -1;

void ring_stop_bell(int) {
  const int error = errno;
  if (const int bell = stop_bell.load(); bell >= 0) ::eventfd_write(bell, 1);
  errno = error;
}

void catch_term() {
  struct sigaction action {};
  action.sa_handler = ring_stop_bell;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  os::check_call(::sigaction(SIGTERM, &action, nullptr), "sigaction(SIGTERM)");
}

// Root's news in the words of a node.
class Translator final : public process::ClientEvents {
 public:
  explicit Translator(node::TreeEvents& events) : events_(events) {}
  void offered(process::ProcessId from, const transport::LinkOptions& options, std::vector<os::Descriptor> ends) override {
    events_.offered(from, options, std::move(ends));
  }
  void down(process::ProcessId process, const Death& death) override { events_.down(process, death); }
  void over_budget() override { events_.over_budget(); }
  void found(std::uint64_t question, const Address& place, const transport::LinkOptions& options) override {
    events_.found(question, place, options);
  }
  void not_found(std::uint64_t question, const Death& why) override { events_.not_found(question, why); }

 private:
  node::TreeEvents& events_;
};

}  // namespace

NodeTree::NodeTree(process::Client& client, OnStop on_stop) : client_(client) {
  keep_handles_of_messages();
  epoll_.add(client.descriptor(), EPOLLIN, 0);
  if (on_stop == OnStop::end) return;
  asked_to_stop_ = os::Descriptor(os::check_call(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"));
  epoll_.add(asked_to_stop_.get(), EPOLLIN, 0);
  TROUPE_CHECK(stop_bell.exchange(asked_to_stop_.get()) < 0, "a process has one NodeTree at a time");
  catch_term();
}

NodeTree::~NodeTree() {
  if (!asked_to_stop_) return;
  os::set_default_action(SIGTERM);  // nobody is left who would stop
  stop_bell = -1;
}

void NodeTree::connect(std::uint64_t process, const transport::LinkOptions& options, std::vector<os::Descriptor> ends) {
  client_.connect(process, options, std::move(ends));
}

void NodeTree::register_name(const std::string& name, const Address& address) { client_.register_name(name, address); }

void NodeTree::look_up(std::uint64_t question, const std::string& name) { client_.look_up(question, name); }

void NodeTree::ready() { client_.ready(); }

void NodeTree::pump(node::TreeEvents& events) {
  Translator translator(events);
  client_.pump(translator);
  eventfd_t asked = 0;
  if (asked_to_stop_ && ::eventfd_read(asked_to_stop_.get(), &asked) == 0) events.stop_requested();
}

}  // namespace troupe::program
