#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include <troupe/address.h>
#include <troupe/death.h>
#include <troupe/duration.h>

#include "os/descriptor.h"
#include "os/epoll.h"
#include "process/entry.h"
#include "process/id.h"
#include "process/root.h"
#include "transport/link.h"

namespace troupe::process {

// What a process hears from root besides the ends of its children; called on the thread that pumps, from within pump().
class ClientEvents {
 public:
  virtual ~ClientEvents() = default;
  // `from` made a link to us: the descriptors for transport::join_link().
  virtual void offered(ProcessId from, const transport::LinkOptions& options, std::vector<os::Descriptor> ends) = 0;
  // A process that we have a link with, or tried to connect to, is gone.
  virtual void down(ProcessId process, const Death& death) = 0;
  // The answers to look_up().
  virtual void found(std::uint64_t question, const Address& place, const transport::LinkOptions& options) = 0;
  virtual void not_found(std::uint64_t question, const Death& why) = 0;
  // We have more memory than our budget, from now on.
  virtual void over_budget() {}
};

// The connection of a process to root, made before it was forked. A start is one packet there, its end one packet back.
//
//     ProcessId worker = client.start({.entry = &work, .name = "Process-1"});
//     if (const auto death = client.join(worker, std::chrono::seconds(5))) std::cout << death->describe();
//
// When root is gone, so is this process: the kernel sees to it. A fork of this process made by the user must not use it: every
// call then throws std::logic_error.
//
// Threads: any, any time, also several at once; whoever waits reads for all. pump() and descriptor() belong to one thread, the node's.
class Client {
 public:
  // What root says of us: how it calls us, which numbers we may give, and so on.
  struct Self {
    ProcessId id = kNoProcess;
    Serial serial = 0;
    std::string name;
    bool daemon = false;
    std::optional<Relative> parent;
    bool executed = false;  // another program than root's
    std::uint32_t restarts = 0;  // by its supervisor, before this life
  };
  // `socket`: our end.
  Client(os::Descriptor socket, const Modules& modules, Self self);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // The connection of this process; null in guard, in root, and before there is a tree.
  [[nodiscard]] static Client* here();
  static void set_here(Client* client);

  // False in a fork that the user made of this process.
  [[nodiscard]] bool is_here() const;
  void check_process() const;  // throws std::logic_error there
  [[nodiscard]] ProcessId self() const { return self_.id; }
  [[nodiscard]] Serial serial() const { return self_.serial; }
  [[nodiscard]] const std::string& name() const { return self_.name; }
  [[nodiscard]] bool daemon() const { return self_.daemon; }
  [[nodiscard]] std::uint32_t restarts() const { return self_.restarts; }
  // Who started this process; none of main, and of what root itself starts.
  [[nodiscard]] const std::optional<Relative>& parent() const { return self_.parent; }

  // Throws std::invalid_argument for an entry that other processes do not have.
  void check_entry(Entry entry) const;
  [[nodiscard]] const Modules& modules() const { return modules_; }
  // Starts a process. Its number is known at once; whether it could be started is told by its Death.
  // Throws std::invalid_argument for an entry that other processes do not have.
  ProcessId start(const ChildSpec& spec);
  // Waits until the process has ended: its Death, or nothing when `timeout` has passed. Throws std::invalid_argument if this
  // process did not start it, or has forgotten it.
  std::optional<Death> join(ProcessId child, Duration timeout = kForever);
  // Stops the daemons among them, then waits for all that were started and are not forgotten; says for whom when that takes long.
  void end_children();
  // As join() with no time-out, and not waiting.
  std::optional<Death> death(ProcessId child);
  // Drops the record of a process; one that still runs goes on, and nobody waits for it.
  void forget(ProcessId child);
  // The same, once it has ended and as many have released it as retained it: end_children() still waits for it.
  void release(ProcessId child);
  // Its pid; 0 if it could not be started. Asks root, and waits for the answer.
  pid_t pid(ProcessId child);
  // A pidfd, readable when it has ended; the record's own, closed when that goes. Throws SystemError where there is none to spare.
  int sentinel(ProcessId child);

  // A child that has not ended, as far as is known; retained for whoever asked.
  struct Living {
    ProcessId id;
    std::string name;
    bool daemon;
  };
  std::vector<Living> living();

  void signal(ProcessId child, int signal);
  // In order, then by SIGKILL when its stop time-out has passed.
  void stop(ProcessId child);
  void kill(ProcessId child);

  // An actor of this process gets a name that the whole tree can look up, as long as this process lives.
  void register_name(const std::string& name, const Address& place);
  // found() or not_found() follows. A name that is declared but not there yet is waited for.
  void look_up(std::uint64_t question, const std::string& name);
  // Hands the other end of a link to `process`; down() follows at once if there is no such process.
  void connect(ProcessId process, const transport::LinkOptions& options, std::vector<os::Descriptor> ends);
  // This process has started well.
  void ready();
  // Why this process is about to exit with another code than 0: the detail of its Death. The first line of `why`; the last call counts.
  // Of `seen` the message in hand, and the stack.
  void last_words(const std::string& why, const Death& seen = {});
  // The same, for one that never got to its entry.
  void failed(const std::string& why);
  // Where a program that was executed will leave word of its end.
  void black_box(os::Descriptor memory);
  // What handles stand for. Makes one: its maker uses it in slot 0. `first`: the other end, for the second end of a pipe. `socket`:
  // of an end that goes over one. Throws SystemError where root has no descriptor left.
  ThingId create_thing(ThingKind kind, const os::Descriptor& memory, ThingId first = 0, const os::Descriptor& socket = {});
  // Uses it once more; asks root, unless it was granted when this process was started. Throws SystemError when it is gone, ProtocolError
  // when its memory was overwritten.
  ThingAccess open_thing(ThingId thing);
  // Uses it once less. Does nothing in a fork of this process.
  void close_thing(ThingId thing);
  // This process has waited for that lock for a while. Root looks whether processes wait for one another.
  void waits_for(ThingId thing);
  // Its memory was overwritten: root tells all others who use it.
  void found_broken(ThingId thing);
  // Items with these handles are about to be put into a queue, which keeps them when this returns. Their tickets, 0 for one without.
  std::vector<Ticket> lay_things(ThingId queue, std::span<const std::vector<ThingId>> items);
  // They are open where they came to, or will not be put.
  void items_over(ThingId queue, std::span<const Ticket> items);
  // Handles that lie in a pipe belong to its receiving end.
  void keep_things(ThingId holder, const std::vector<ThingId>& things);
  // Until they have arrived somewhere, as often as they were kept there.
  void unkeep_things(ThingId holder, const std::vector<ThingId>& things);
  // Handles in a message to a process, which is about to be sent; they are kept until as many have arrived there (or were not sent).
  void give_things(ProcessId to, const std::vector<ThingId>& things);
  void things_arrived(ProcessId at, const std::vector<ThingId>& things);
  // Before anybody uses this client.
  void granted(const ThingGrant& thing);

  // The connection, which stays open when this process executes another program. Not to be used here any more, unless that fails.
  int give_socket();

  // Talks with Root's service: what is said on a channel of ours is kept, in order, until it is closed.
  std::uint64_t open_channel();
  void close_channel(std::uint64_t channel);
  void order(std::span<const std::byte> order);
  // The `index`-th news of that channel; nothing when `timeout` has passed.
  std::optional<std::vector<std::byte>> news(std::uint64_t channel, std::size_t index, Duration timeout = kForever);

  // Readable when pump() has something to do; edge- or level-triggered alike.
  [[nodiscard]] int descriptor();
  void pump(ClientEvents& events);

  static constexpr std::size_t kNewsMax = 4096;  // kept while nobody pumps; offers beyond are refused

 private:
  struct Record {
    std::optional<Death> death;
    std::string name;
    bool daemon = false;
    int users = 1;
    std::optional<pid_t> pid;  // once root told it
    os::Descriptor sentinel;   // once it was asked for
    bool watched = false;      // root has answered that
  };
  struct News {  // for pump()
    enum class What { down, offered, found, not_found, over_budget };
    What what;
    ProcessId process = kNoProcess;
    std::uint64_t question = 0;
    Address place{};
    transport::LinkOptions options{};
    Death death{};
    std::vector<os::Descriptor> ends{};
  };
  using Lock = std::unique_lock<std::mutex>;
  struct Opening {
    bool answered = false;
    std::string why;
    bool overwritten = false;
    ThingAccess access;
  };
  Opening opening(Lock& lock, ThingId thing);

  void send(std::span<const std::byte> request, const std::vector<os::Descriptor>& descriptors = {});
  bool wait(Lock& lock, Clock::time_point deadline, const std::function<bool()>& condition);
  void wait_at_socket(Lock& lock, Clock::time_point deadline);
  void wake_all();
  bool read_one();
  void note(std::span<const std::byte> packet, std::vector<os::Descriptor> descriptors);
  void grant(ProcessId to, const std::vector<ThingId>& things);
  template <class Fill>
  void send_things(std::span<const ThingId> things, Fill fill);
  void tell_pump(News news);
  Record& record(ProcessId child);
  void say_who_lives() const;

  const os::Descriptor socket_;
  const Modules& modules_;
  const Self self_;
  const pid_t process_;

  std::mutex start_mutex_;  // before mutex_: starts reach root in the order of their numbers
  std::mutex mutex_;        // guards all below
  std::condition_variable changed_;
  bool reading_ = false;  // a thread waits at the socket, for all
  bool closed_ = false;
  std::uint32_t started_ = 0;
  std::unordered_map<ProcessId, Record> records_;
  std::uint32_t things_made_ = 0;
  std::uint32_t items_laid_ = 0;
  std::uint64_t laid_asked_ = 0;
  std::uint64_t laid_ = 0;  // of those, answered
  std::unordered_map<ThingId, ThingAccess> granted_;
  std::unordered_map<ThingId, Opening> openings_;  // one at a time of each
  std::deque<News> news_;
  std::uint64_t last_channel_ = 0;
  std::unordered_map<std::uint64_t, std::deque<std::vector<std::byte>>> channels_;
  std::unique_ptr<os::Epoll> waker_;  // once descriptor() was called: the socket and bell_
  os::Descriptor bell_;               // rung when another thread read what is for pump()
  os::Descriptor reader_bell_;        // rung when another thread read while one waits at the socket; once one waited
};

}  // namespace troupe::process
