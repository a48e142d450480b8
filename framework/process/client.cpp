#include "process/client.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "os/check_call.h"
#include "process/packet.h"

namespace troupe::process {

namespace {

Client* client_here = nullptr;

constexpr Duration kSilentWait = std::chrono::seconds(2);

}  // namespace

Client::Client(os::Descriptor socket, const Modules& modules, Self self)
    : socket_(std::move(socket)), modules_(modules), self_(std::move(self)), process_(::getpid()) {}

Client::~Client() {
  if (client_here == this) client_here = nullptr;
}

Client* Client::here() { return client_here; }

void Client::set_here(Client* client) { client_here = client; }

bool Client::is_here() const { return ::getpid() == process_; }

void Client::check_process() const {
  if (!is_here()) {
    throw std::logic_error("this process was forked by `" + name() + "`, not started by troupe: it is not part of the tree");
  }
}

void Client::check_entry(Entry entry) const {
  if (self_.executed) {
    throw std::invalid_argument("this program was executed by another one of its tree: it can start programs there, but no functions");
  }
  (void)modules_.place_of(entry);
}

ProcessId Client::start(const ChildSpec& spec) {
  check_process();
  Outgoing<control::Request> request;
  auto start = request->initStart();
  if (!spec.program) check_entry(spec.entry);
  const EntryPlace place = spec.program ? EntryPlace{} : modules_.place_of(spec.entry);
  start.getEntry().setModule(place.module);
  start.getEntry().setOffset(place.offset);
  start.getEntry().setBuild(place.build);
  write(start, spec);
  std::vector<os::Descriptor> descriptors;
  if (spec.arguments.size() > kInlineArgumentsMax) {
    descriptors.push_back(write_sealed(spec.arguments));
  } else if (!spec.arguments.empty()) {
    start.setArguments(kj::arrayPtr(reinterpret_cast<const kj::byte*>(spec.arguments.data()), spec.arguments.size()));
  }
  const std::scoped_lock in_order(start_mutex_);
  ProcessId id;
  {
    const Lock lock(mutex_);
    id = make_id(self_.serial, ++started_);
    Record& record = records_[id];
    record.name = spec.name;
    record.daemon = spec.daemon;
  }
  start.setId(id);
  try {
    if (!spec.things.empty()) grant(id, spec.things);
    send(request.bytes(), descriptors);
  } catch (...) {
    forget(id);
    throw;
  }
  return id;
}

Client::Record& Client::record(ProcessId child) {
  const auto found = records_.find(child);
  if (found == records_.end()) throw std::invalid_argument("this process did not start that one, or has forgotten it");
  return found->second;
}

std::optional<Death> Client::join(ProcessId child, Duration timeout) {
  check_process();
  auto deadline = deadline_after(timeout);
  Lock lock(mutex_);
  // A forget() by another thread meanwhile ends the wait as well. Who saw that it has ended is told how, though root is still at it.
  if (const auto& seen = record(child).sentinel; seen && os::wait_for(seen.get(), POLLIN, Clock::now())) {
    deadline = Clock::time_point::max();
  }
  const auto ended = [&] { return !records_.contains(child) || records_[child].death; };
  if (!wait(lock, deadline, ended)) return std::nullopt;
  return record(child).death;
}

void Client::end_children() {
  check_process();
  for (const Living& child : living()) {
    if (child.daemon) stop(child.id);
    release(child.id);
  }
  Lock lock(mutex_);
  const auto all_ended = [&] {
    return std::ranges::all_of(records_, [](const auto& entry) { return entry.second.death.has_value(); });
  };
  if (wait(lock, Clock::now() + kSilentWait, all_ended)) return;
  say_who_lives();
  wait(lock, Clock::time_point::max(), all_ended);
}

// So that nobody wonders why a program does not end.
void Client::say_who_lives() const {
  constexpr std::size_t kNamesMax = 5;
  std::string names;
  std::size_t living = 0;
  for (const auto& [id, child] : records_) {
    if (child.death || ++living > kNamesMax) continue;
    names += fmt::format("{}`{}`", names.empty() ? "" : ", ", child.name);
  }
  if (living > kNamesMax) names += fmt::format(" and {} more", living - kNamesMax);
  fmt::print(stderr, "{} has returned; waiting for {}\n", self_.id == kMain ? "main" : name(), names);
}

std::optional<Death> Client::death(ProcessId child) { return join(child, Duration::zero()); }

void Client::forget(ProcessId child) {
  const Lock lock(mutex_);
  records_.erase(child);
  wake_all();
}

void Client::release(ProcessId child) {
  if (!is_here()) return;
  const Lock lock(mutex_);
  const auto found = records_.find(child);
  if (found != records_.end() && --found->second.users == 0 && found->second.death) records_.erase(found);
}

std::vector<Client::Living> Client::living() {
  check_process();
  const Lock lock(mutex_);
  while (read_one()) {
  }
  std::vector<Living> living;
  for (auto& [id, record] : records_) {
    if (record.death) continue;
    ++record.users;
    living.push_back({id, record.name, record.daemon});
  }
  std::ranges::sort(living, {}, &Living::id);  // as they were started
  return living;
}

pid_t Client::pid(ProcessId child) {
  check_process();
  {
    const Lock lock(mutex_);
    if (const auto& known = record(child).pid) return *known;
  }
  Outgoing<control::Request> request;
  request->setDescribe(child);
  send(request.bytes());
  Lock lock(mutex_);
  wait(lock, Clock::time_point::max(), [&] { return !records_.contains(child) || records_[child].pid; });
  return record(child).pid.value();
}

int Client::sentinel(ProcessId child) {
  check_process();
  {
    const Lock lock(mutex_);
    if (const auto& known = record(child).sentinel) return known.get();
  }
  Outgoing<control::Request> request;
  request->setSentinel(child);
  send(request.bytes());
  Lock lock(mutex_);
  wait(lock, Clock::time_point::max(), [&] { return !records_.contains(child) || records_[child].watched; });
  Record& found = record(child);
  found.watched = false;  // if that was all in vain, one may ask again
  // No process is left to wait for: what stands for it is readable at once.
  if (!found.sentinel && found.death) found.sentinel = os::Descriptor(os::check_call(::eventfd(1, EFD_CLOEXEC), "eventfd"));
  if (!found.sentinel) os::throw_error(EMFILE, "no descriptor left for a sentinel, here or in root");
  return found.sentinel.get();
}

void Client::signal(ProcessId child, int signal) {
  check_process();
  Outgoing<control::Request> request;
  auto group = request->initSignal();
  group.setId(child);
  group.setNumber(signal);
  send(request.bytes());
}

void Client::stop(ProcessId child) {
  check_process();
  Outgoing<control::Request> request;
  request->setStop(child);
  send(request.bytes());
}

void Client::kill(ProcessId child) { signal(child, SIGKILL); }

}  // namespace troupe::process
