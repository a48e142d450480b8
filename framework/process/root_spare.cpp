// A process that is forked ahead: the spare. Forking takes longer than all the rest of a start, so who starts one process after the
// other would wait for that most of the time. Root forks the next one while this one runs, if it has nothing else to do.

#include <unistd.h>

#include <csignal>
#include <utility>

#include "os/check_call.h"
#include "os/pidfd.h"
#include "os/socket.h"
#include "process/birth.h"
#include "process/packet.h"
#include "process/root_loop.h"

namespace troupe::process {

namespace {

// One that nobody needs for so long ends: people see it in their lists of processes.
constexpr Duration kSpareTime = std::chrono::seconds(1);

}  // namespace

// The spare, if there is one and a packet can tell it all; or one that is yet to be forked.
std::unique_ptr<Process> RootLoop::new_process(bool all_in_packet) {
  if (spare_ && all_in_packet) {
    timers_.cancel(spare_timer_);
    return std::move(spare_);
  }
  auto process = std::make_unique<Process>();
  process->serial = roster_.new_serial();
  process->box = boxes_.take();
  return process;
}

// Tells what was the spare what it is. False if it is dead; then nothing has happened, and `process` is to be forked.
bool RootLoop::wake_spare(Process& process, const ChildSpec& spec, const os::Descriptor& arguments) {
  Outgoing<control::Birth> birth;
  birth->setEntry(reinterpret_cast<std::uint64_t>(spec.entry));
  auto start = birth->initStart();
  write(start, spec);
  start.setId(process.id);
  start.setArguments(kj::arrayPtr(reinterpret_cast<const kj::byte*>(spec.arguments.data()), spec.arguments.size()));
  if (const Process* starter = roster_.by_serial(starter_of(process.id))) {
    birth->setParent(starter->name);
    birth->setParentPid(starter->pid);
  }
  const int descriptor = arguments.get();
  const std::span descriptors(&descriptor, arguments ? 1 : 0);
  if (os::send_packet(process.socket.get(), birth.bytes(), descriptors) == os::SendResult::sent) return true;
  os::send_signal(process.pidfd, SIGKILL);
  process.pid = 0;
  return false;
}

void RootLoop::prepare_spare() {
  spare_due_ = false;
  if (state_ != State::running || spare_) return;
  auto spare = std::make_unique<Process>();
  spare->serial = roster_.new_serial();
  try {
    auto [ours, theirs] = os::socket_pair(os::SocketKind::packets);
    const pid_t root = ::getpid();
    spare->box = boxes_.take();
    spare->pid = os::check_call(::fork(), "fork");
    if (spare->pid == 0) {
      live_later(origin_, root, {.serial = spare->serial, .socket = std::move(theirs), .box = spare->box},
                 {buffer_.get(), kPacketSizeMax});
    }
    theirs.reset();
    spare->socket = std::move(ours);
    spare->pidfd = os::open_pidfd(spare->pid);
  } catch (const SystemError&) {  // the next start tells; what was forked finds its socket closed
    return boxes_.give_back(spare->box);
  }
  spare_ = std::move(spare);
  spare_timer_ = timers_.at(Clock::now() + kSpareTime, [this] { drop_spare(); });
}

// It is reaped as strays are.
void RootLoop::drop_spare() {
  if (!spare_) return;
  timers_.cancel(spare_timer_);
  os::send_signal(spare_->pidfd, SIGKILL);
  boxes_.give_back(spare_->box);
  spare_.reset();
}

}  // namespace troupe::process
