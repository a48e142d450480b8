#pragma once

#include <array>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "os/control_group.h"
#include "os/epoll.h"
#include "os/pidfd.h"
#include "os/proc.h"
#include "os/signals.h"
#include "os/socket.h"
#include "process/control.capnp.h"
#include "process/ending.h"
#include "process/error_sink.h"
#include "process/names.h"
#include "process/origin.h"
#include "process/packet.h"
#include "process/roster.h"
#include "process/root.h"
#include "process/signal_merge.h"
#include "process/things.h"
#include "process/timers.h"

namespace troupe::process {

// Root itself: one thread, one loop over one epoll. It forks processes, reaps them, tells their starters, and introduces those
// that want to talk; it carries no data and runs no user code.
//
// What holds: a dead process's last words are read before its death is acted on; each client gets one packet served a pass, and
// deaths come before starts, so that nobody is held up by a greedy one; nothing waits but the loop. A client that breaks the
// protocol is killed. A process that ends takes along what it started, and what user code forked in it.
//
// Threads: one, in a process that never had another.
class RootLoop final : public Root {
 public:
  // `guard` is readable when our guard is dead: then all ends at once.
  RootLoop(const Origin& origin, const os::Descriptor& guard);
  ~RootLoop() override;

  // Forks main: true in it, with its connection in `client`.
  [[nodiscard]] bool fork_main(std::unique_ptr<Client>& client);
  // Serves until the end; all processes are gone then.
  Ending run();

  ProcessId start(ChildSpec spec, ChildEvents& events) override;
  void stop(ProcessId child) override;
  void stop(ProcessId child, const Death& why) override;
  void kill(ProcessId child) override;
  void kill(ProcessId child, const Death& why) override;
  [[nodiscard]] pid_t pid(ProcessId child) const override;
  TimerId call_at(Clock::time_point moment, std::function<void()> action) override;
  void cancel(TimerId timer) override;
  void declare(const std::string& name, const transport::LinkOptions& options) override;
  void choose_links(std::function<transport::LinkOptions(const std::string& one, const std::string& other)> choose) override;
  void withdraw(const std::string& name, const Death& why) override;
  void withdraw_all(const Death& why) override;
  void on_signal(std::function<void(int signal)> action) override;
  void on_end(std::function<void(bool at_once)> action) override;
  bool hold(ThingId thing) override { return things_.hold(thing); }
  void let_go(ThingId thing) override { things_.let_go(thing); }
  void serve(Service& service) override { service_ = &service; }
  void tell_news(ProcessId client, std::uint64_t channel, std::span<const std::byte> news) override;
  void end(int exit_code, int signal) override;
  void end_now(int exit_code, int signal) override;

  static constexpr std::size_t kEarlyMax = 1024;  // links with processes that one process has not started yet
  // More unread notices than this, and a client is not served until it has read some; nobody may offer it links either.
  static constexpr std::size_t kOutboxMax = 1024;
  // A dead process has said all that counts after so many packets: a fork of it that still holds the socket could go on for ever.
  static constexpr int kLastWordsMax = 10000;

 private:
  enum class State { running, ending, ending_now, left };
  // What an event of the loop is about: the serial of a process, and which of its descriptors.
  enum class Source : std::uint64_t { pidfd, socket, guard, signals, child_signals, output, sink, heart };
  static_assert(static_cast<unsigned>(Source::heart) < 8, "a key has three bits for it");
  static constexpr std::uint64_t key(Source source, Serial serial = 0) {
    return std::uint64_t{serial} << 3 | static_cast<std::uint64_t>(source);
  }

  // The loop (root_loop.cpp)
  void pass();
  void postpone(Process& process);
  void bury(Process& process);
  void attend(const epoll_event& event);
  void read_signals();
  void signalled(SignalMerge::Merged merged);
  void child_signalled();
  void tend_strays();
  void tend_strays_at(Clock::time_point moment);
  void hear_child_signals();
  [[nodiscard]] bool has_forefather(pid_t stray) const;
  void tell_of_end(bool at_once);
  void leave_if_done();
  // Whether processes hang (root_watchdog.cpp)
  void feel(Process& process);
  void hang(Process& process, const std::string& why);
  void note_stops();
  void watch_stopped(Process& process);
  // Starting and ending (root_children.cpp)
  void launch(ProcessId id, const ChildSpec& spec, os::Descriptor arguments, ChildEvents* events);
  void fork(Process& process, const ChildSpec& spec, os::Descriptor arguments);
  void watch(Process& process);
  void unwatch(Process& process);
  // A process that is forked ahead (root_spare.cpp)
  std::unique_ptr<Process> new_process(bool all_in_packet);
  bool wake_spare(Process& process, const ChildSpec& spec, const os::Descriptor& arguments);
  void prepare_spare();
  void drop_spare();
  void report(ProcessId id, pid_t pid, const Death& death, ChildEvents* events);
  void report_soon(ProcessId id, const Death& death, ChildEvents* events);
  void send_signal(const Process& process, int signal);
  void stop(Process& process);
  void kill(Process& process);
  void kill_when_told(ProcessId child, Clock::time_point deadline);
  // Standard error and memory (root_output.cpp)
  os::Descriptor make_output(Process& process);
  bool read_output(Process& process);
  void read_last_output(Process& process);
  void pass_on(Process& process, std::span<const char> text);
  void say(std::string_view line);
  void wait_for_sink();
  void sink_writable();
  void limit_memory(Process& process, const Limits& limits);
  std::unique_ptr<os::MemoryGroups::Group> memory_group(const Process& process, const Limits& limits);
  static void judge_group(Process& process, const os::Exit& exit);
  void look_at_memory();
  void judge_memory(Process& process, std::size_t used);
  // What clients ask (root_requests.cpp)
  bool serve(Process& client);
  void handle(Process& client, os::ReceivedPacket packet);
  void start(Process& client, control::Start::Reader start, os::ReceivedPacket packet);
  void order(Process& client, control::Request::Reader request, const std::vector<os::Descriptor>& descriptors);
  Process* child_of(Process& client, ProcessId child);
  void describe(Process& client, ProcessId child);
  void watch_for(Process& client, ProcessId child);
  void take_black_box(Process& client, std::vector<os::Descriptor> descriptors);
  void connect(Process& client, ProcessId to, const transport::LinkOptions& options, std::vector<os::Descriptor> ends);
  void connect(Process& client, control::Request::Connect::Reader connect, os::ReceivedPacket packet);
  void introduce_early(Process& starter);
  void answer(const Names::Answers& answers);
  void tell_down(Process& client, ProcessId process, const Death& death);
  void tell(Process& client, std::span<const std::byte> notice, std::vector<os::Descriptor> descriptors = {});
  void flush(Process& client);
  void flush_later(Process& client);
  void set_interest(Process& client);
  void disconnect(Process& client);
  void poison(Process& client, const std::string& why);
  // What handles stand for (root_things.cpp)
  void handle(Process& client, control::ThingRequest::Reader request, std::vector<os::Descriptor> descriptors);
  void create_thing(Process& client, control::ThingRequest::Create::Reader create, std::vector<os::Descriptor> descriptors);
  void open_thing(Process& client, ThingId id);
  void look_for_circles();
  void report(const sync::Circle& circle);
  using Grants = std::map<ThingId, bool>;  // whether it was there, and is held
  void let_go(const Grants& grants);
  void lay(Process& client, control::ThingRequest::Lay::Reader lay);
  void give(Process& client, ProcessId to, const std::vector<ThingId>& things);
  void arrived(Process& client, ProcessId at, const std::vector<ThingId>& things);
  [[nodiscard]] Process* starter_to_be(ProcessId process) const;
  void drop_early_given(Process& starter, std::uint32_t last);
  void grant(Process& client, ProcessId to, const std::vector<ThingId>& things);
  void grant(ProcessId to, const std::vector<ThingId>& things);
  void give_things(Process& process);
  void take_things(Process& process, bool finished);

  const Origin& origin_;
  os::Epoll epoll_;
  os::SignalReader signals_;
  os::SignalReader child_signals_;  // SIGCHLD: some child of ours, known or stray, has ended
  os::ChildrenList children_;
  std::unique_ptr<os::MemoryGroups> groups_;  // if there can be any
  bool groups_tried_ = false;
  Roster roster_;
  Names names_;
  Timers timers_;
  std::size_t hearts_ = 0;  // of living processes
  SignalMerge merge_;
  std::function<void(int)> on_signal_;
  std::function<void(bool)> on_end_;
  Service* service_ = nullptr;
  std::function<transport::LinkOptions(const std::string&, const std::string&)> choose_link_;
  std::uint32_t started_ = 0;  // by root
  ProcessId main_ = kNoProcess;
  State state_ = State::running;
  Ending ending_;
  bool strays_end_ = false;  // what was killed has to be looked for soon: it may leave some of its own
  Clock::time_point next_look_{};
  Clock::time_point look_at_{};
  Timers::Id look_timer_ = 0;
  // For a packet. Not cleared: pages that nobody has touched need not be copied for every process.
  std::unique_ptr<std::byte[]> buffer_ = std::make_unique_for_overwrite<std::byte[]>(kPacketSizeMax);
  std::unique_ptr<Process> spare_;  // it may be dead: nobody looks until it is needed
  bool spare_due_ = false;          // to be made once there is nothing else to do
  Timers::Id spare_timer_ = 0;
  Things things_;
  std::unordered_map<ProcessId, Grants> grants_;  // to processes that are about to be started
  bool reads_on_ = false;  // in a socket whose turn it is not
  Timers::Id circle_timer_ = 0;
  std::vector<sync::Circle> circles_;  // of processes that wait for one another, as they were seen last
  BlackBoxes boxes_;
  ErrorSink sink_;
  bool waits_for_sink_ = false;
  std::string orphans_;  // what dead processes wrote to standard error that could not be passed on yet
  Timers::Id memory_timer_ = 0;  // while there is a process whose memory is limited
};

}  // namespace troupe::process
