#include "process/birth.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>

#include "base/witness.h"
#include "os/affinity.h"
#include "os/check_call.h"
#include "os/control_group.h"
#include "os/epoll.h"
#include "os/signals.h"
#include "os/socket.h"
#include "process/crash.h"
#include "process/heart.h"
#include "process/mark.h"
#include "process/packet.h"

namespace troupe::process {

namespace {

bool is_child = false;

// At the end of a process, by return or by exit(): its daemons are stopped, then its children waited for. Not in a fork of it.
void end_children() {
  Client* client = Client::here();
  try {
    if (client && client->is_here()) client->end_children();
  } catch (const std::exception&) {  // root ends them
  }
}

std::span<const std::byte> map_arguments(const os::Descriptor& memfd) {
  struct stat status;
  os::check_call(::fstat(memfd.get(), &status), "fstat(arguments)");
  const auto size = static_cast<std::size_t>(status.st_size);
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, memfd.get(), 0);
  if (memory == MAP_FAILED) throw SystemError(errno, "mmap(arguments)");
  return {static_cast<const std::byte*>(memory), size};
}

int run(const ChildSpec& spec, const os::Descriptor& arguments, Client& client) {
  std::string why = "uncaught exception";
  Death seen;
  try {
    return spec.entry(arguments ? map_arguments(arguments) : std::span<const std::byte>(spec.arguments));
  } catch (const base::Witness&) {  // nothing is: it looks where the next two come from
  } catch (const std::exception& error) {
    seen.stack = base::take_stack();
    why += std::string(": ") + error.what();
  } catch (...) {
    seen.stack = base::take_stack();
  }
  std::fprintf(stderr, "%s: %s\n", spec.name.c_str(), why.c_str());
  client.last_words(why, seen);
  return 1;
}

// As the specification wants it, or the process has failed to start.
void apply(const Limits& limits) {
  if (limits.open_files) {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = *limits.open_files;
    files.rlim_max = std::min<rlim_t>(files.rlim_max, *limits.open_files);
    os::check_call(::setrlimit(RLIMIT_NOFILE, &files), "limit of open files");
  }
  if (limits.core_dumps) {
    rlimit core{};
    ::getrlimit(RLIMIT_CORE, &core);
    core.rlim_cur = *limits.core_dumps ? core.rlim_max : 0;
    os::check_call(::setrlimit(RLIMIT_CORE, &core), "limit of core dumps");
  }
  if (limits.nice) os::check_call(::setpriority(PRIO_PROCESS, 0, *limits.nice), "nice");
  if (!limits.cpus.empty()) os::set_allowed_cpus(limits.cpus);
  const std::string& folder = limits.working_directory;
  if (!folder.empty()) os::check_call(::chdir(folder.c_str()), ("chdir " + folder).c_str());
}

void apply_or_fail(const Limits& limits, Client& client) {
  if (limits == Limits{}) return;
  try {
    apply(limits);
  } catch (const SystemError& error) {
    client.failed(error.what());
    ::_exit(1);
  }
}

void read_nothing_from_terminal() {
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null == STDIN_FILENO) {
    ::fcntl(null, F_SETFD, 0);
  } else if (null > 0) {
    ::dup2(null, STDIN_FILENO);
    ::close(null);
  }
}

// What does not depend on what it is to be.
void be_child(const Origin& origin, pid_t root, const Birth& birth) {
  die_with_parent(root, SIGKILL);
  mark_process(root, birth.serial);
  is_child = true;
  std::vector<int> keep{birth.socket.get()};
  if (birth.arguments) keep.push_back(birth.arguments.get());
  for (const ThingGrant& thing : birth.things) {
    keep.push_back(thing.memory);
    if (thing.socket >= 0) keep.push_back(thing.socket);
  }
  if (birth.group >= 0) keep.push_back(birth.group);
  if (birth.error) ::dup2(birth.error.get(), STDERR_FILENO);
  if (const Heart* heart = Heart::here()) keep.push_back(heart->descriptor());
  origin.close_later_descriptors(keep);
  read_nothing_from_terminal();
  os::ignore_signal(SIGINT);  // Ctrl-C is for main and for root
}

// Before it has memory of its own. Where that fails root still looks how much it has.
void enter_group(int entrance) {
  if (entrance < 0) return;
  os::take_me(entrance);
  ::close(entrance);
}

// The rest, and its life.
[[noreturn]] void live_as(const Origin& origin, Birth birth) {
  const ChildSpec& spec = *birth.spec;
  enter_group(birth.group);
  if (!spec.name.empty()) ::prctl(PR_SET_NAME, spec.name.c_str());
  for (const auto& [name, value] : spec.environment) ::setenv(name.c_str(), value.c_str(), 1);

  auto& client = *new Client(std::move(birth.socket), origin.modules,
                             {birth.id, birth.serial, spec.name, spec.daemon, std::move(birth.parent), false, spec.restarts});
  for (const ThingGrant& thing : birth.things) client.granted(thing);
  Client::set_here(&client);
  open_black_box(birth.box, birth.serial, true);
  apply_or_fail(spec.limits, client);
  origin.restore_limits_and_mask(spec.limits.open_files.has_value());  // last: from here on a signal may end us in the middle of user code only
  const int code = run(spec, birth.arguments, client);
  end_children();  // they may talk to actors of this process, which exit() ends first
  std::exit(code);
}

}  // namespace

void flush_streams() {
  std::cout.flush();
  std::cerr.flush();
  std::clog.flush();
  std::fflush(nullptr);
}

void die_with_parent(pid_t parent, int signal) {
  ::prctl(PR_SET_PDEATHSIG, signal);
  if (::getppid() != parent) ::_exit(1);  // it died before we were armed, so no signal will come
}

void prepare_exits() {
  ::on_exit(
      [](int code, void*) {
        end_children();
        if (!is_child) return;
        flush_streams();
        ::_exit(code);
      },
      nullptr);
}

void live(const Origin& origin, pid_t root, Birth birth) {
  be_child(origin, root, birth);
  live_as(origin, std::move(birth));
}

void live_later(const Origin& origin, pid_t root, Birth birth, std::span<std::byte> room) {
  be_child(origin, root, birth);
  flush_streams();  // there is nothing in them, but so what it takes is in memory when this process ends
  os::wait_for(birth.socket.get(), POLLIN, Clock::time_point::max());
  auto packet = os::receive_packet(birth.socket.get(), room);
  if (packet.state != os::ReceivedPacket::State::packet) ::_exit(0);
  ChildSpec spec;
  birth.spec = &spec;
  if (!packet.descriptors.empty()) birth.arguments = std::move(packet.descriptors.front());
  read_packet<control::Birth>(room.first(packet.size), [&](control::Birth::Reader told) {
    const auto start = told.getStart();
    spec = read(start);
    spec.entry = reinterpret_cast<Entry>(told.getEntry());
    const auto arguments = std::as_bytes(std::span(start.getArguments().begin(), start.getArguments().size()));
    spec.arguments.assign(arguments.begin(), arguments.end());
    birth.id = start.getId();
    if (told.hasParent()) birth.parent = {told.getParent().cStr(), told.getParentPid()};
  });
  live_as(origin, std::move(birth));
}

std::unique_ptr<Client> live_as_main(const Origin& origin, pid_t root, Birth birth) {
  die_with_parent(root, SIGKILL);
  mark_process(root, birth.serial);
  prepare_exits();
  origin.close_later_descriptors({birth.socket.get()});
  ::sigaction(SIGINT, &origin.interrupt, nullptr);
  auto client = std::make_unique<Client>(std::move(birth.socket), origin.modules,
                                         Client::Self{birth.id, birth.serial, "MainProcess", false, std::nullopt});
  Client::set_here(client.get());
  open_black_box(birth.box, birth.serial, false);
  origin.restore_limits_and_mask(false);
  return client;
}

}  // namespace troupe::process
