#include "process/client.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>
#include <unistd.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <stdexcept>
#include <thread>
#include <utility>

#include "os/check_call.h"
#include "os/socket.h"
#include "process/names.h"
#include "process/packet.h"

namespace troupe::process {

namespace {

Client* client_here = nullptr;

constexpr std::size_t kLastWordsMax = 1000;  // bytes
constexpr Duration kSilentWait = std::chrono::seconds(2);

void check_name(const std::string& name) {
  if (name.size() > Names::kNameSizeMax) throw std::invalid_argument("an actor's name has at most 1024 bytes");
}

// What root can hand to the new process as it is: nobody can change it any more.
os::Descriptor arguments_memfd(std::span<const std::byte> bytes) {
  os::Descriptor memfd(os::check_call(::memfd_create("troupe-arguments", MFD_CLOEXEC | MFD_ALLOW_SEALING), "memfd_create"));
  while (!bytes.empty()) {
    const auto size = os::retry_interrupted([&] { return ::write(memfd.get(), bytes.data(), bytes.size()); });
    bytes = bytes.subspan(static_cast<std::size_t>(os::check_call(size, "write(arguments)")));
  }
  os::check_call(::fcntl(memfd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL), "fcntl(F_ADD_SEALS)");
  return memfd;
}

// Root has ended, so SIGKILL is on its way to us: user code is not to see the moment between. Only a process that has freed itself
// of that (by setuid) gets to the exception.
[[noreturn]] void wait_for_our_end() {
  std::this_thread::sleep_for(std::chrono::seconds(1));
  throw SystemError(EPIPE, "root is gone");
}

}  // namespace

struct Client::News {
  control::Notice::Which what;
  ProcessId process = kNoProcess;
  std::uint64_t question = 0;
  Address place{};
  transport::LinkOptions options{};
  Death death{};
  std::vector<os::Descriptor> ends{};
};

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
    descriptors.push_back(arguments_memfd(spec.arguments));
  } else if (!spec.arguments.empty()) {
    start.setArguments(kj::arrayPtr(reinterpret_cast<const kj::byte*>(spec.arguments.data()), spec.arguments.size()));
  }
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
  if (!found.sentinel) throw SystemError(EMFILE, "root could not hand over a pidfd");
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

void Client::register_name(const std::string& name, const Address& place) {
  check_process();
  check_name(name);
  Outgoing<control::Request> request;
  auto group = request->initRegister();
  group.setName(name);
  place.write(group.initActor());
  send(request.bytes());
}

void Client::look_up(std::uint64_t question, const std::string& name) {
  check_process();
  check_name(name);
  Outgoing<control::Request> request;
  auto group = request->initLookUp();
  group.setName(name);
  group.setQuestion(question);
  send(request.bytes());
}

void Client::connect(ProcessId process, const transport::LinkOptions& options, std::vector<os::Descriptor> ends) {
  check_process();
  Outgoing<control::Request> request;
  auto group = request->initConnect();
  group.setTo(process);
  write(group.initOptions(), options);
  send(request.bytes(), ends);
}

void Client::ready() {
  check_process();
  Outgoing<control::Request> request;
  request->setReady();
  send(request.bytes());
}

void Client::last_words(const std::string& why) {
  check_process();
  Outgoing<control::Request> request;
  request->setLastWords(why.substr(0, std::min(why.find('\n'), kLastWordsMax)));
  send(request.bytes());
}

void Client::failed(const std::string& why) {
  check_process();
  Outgoing<control::Request> request;
  request->setFailed(why.substr(0, kLastWordsMax));
  send(request.bytes());
}

void Client::black_box(os::Descriptor memory) {
  Outgoing<control::Request> request;
  request->setBlackBox();
  std::vector<os::Descriptor> descriptors;
  descriptors.push_back(std::move(memory));
  send(request.bytes(), descriptors);
}

ThingId Client::create_thing(ThingKind kind, const os::Descriptor& memory) {
  check_process();
  ThingId id;
  {
    const Lock lock(mutex_);
    id = make_id(self_.serial, ++things_made_);
  }
  Outgoing<control::Request> request;
  auto create = request->initThing().initCreate();
  create.setId(id);
  create.setKind(static_cast<std::uint8_t>(kind));
  std::vector<os::Descriptor> descriptors;
  descriptors.push_back(memory.duplicate());
  send(request.bytes(), descriptors);
  return id;
}

ThingAccess Client::open_thing(ThingId thing) {
  check_process();
  {
    Lock lock(mutex_);
    if (const auto granted = granted_.extract(thing)) return std::move(granted.mapped());
    wait(lock, Clock::time_point::max(), [&] { return !openings_.contains(thing); });
    openings_.try_emplace(thing);
  }
  Outgoing<control::Request> request;
  request->initThing().setOpen(thing);
  send(request.bytes());
  Lock lock(mutex_);
  wait(lock, Clock::time_point::max(), [&] { return openings_[thing].answered; });
  Opening opened = std::move(openings_.extract(thing).mapped());
  wake_all();
  if (!opened.why.empty()) throw SystemError(ENOENT, opened.why);
  if (!opened.access.memory) throw SystemError(EMFILE, "no descriptor left for a handle");
  return std::move(opened.access);
}

void Client::close_thing(ThingId thing) {
  if (!is_here()) return;
  Outgoing<control::Request> request;
  request->initThing().setClose(thing);
  send(request.bytes());
}

void Client::keep_things(ThingId holder, const std::vector<ThingId>& things) {
  check_process();
  Outgoing<control::Request> request;
  auto keep = request->initThing().initKeep();
  keep.setHolder(holder);
  keep.setHeld(kj::arrayPtr(things.data(), things.size()));
  send(request.bytes());
}

void Client::grant(ProcessId to, const std::vector<ThingId>& things) {
  Outgoing<control::Request> request;
  auto grant = request->initThing().initGrant();
  grant.setTo(to);
  grant.setThings(kj::arrayPtr(things.data(), things.size()));
  send(request.bytes());
}

void Client::granted(const ThingGrant& thing) { granted_[thing.id] = {thing.slot, os::Descriptor(thing.memory)}; }

int Client::give_socket() {
  check_process();
  ::fcntl(socket_.get(), F_SETFD, 0);
  return socket_.get();
}

std::uint64_t Client::open_channel() {
  const Lock lock(mutex_);
  channels_[++last_channel_];
  return last_channel_;
}

void Client::close_channel(std::uint64_t channel) {
  const Lock lock(mutex_);
  channels_.erase(channel);
}

void Client::order(std::span<const std::byte> order) {
  check_process();
  Outgoing<control::Request> request;
  std::vector<os::Descriptor> descriptors;
  if (order.size() > kInlineArgumentsMax) descriptors.push_back(arguments_memfd(order));
  else request->setOrder(kj::arrayPtr(reinterpret_cast<const kj::byte*>(order.data()), order.size()));
  if (!descriptors.empty()) request->initOrder(0);
  send(request.bytes(), descriptors);
}

std::optional<std::vector<std::byte>> Client::news(std::uint64_t channel, std::size_t index, Duration timeout) {
  check_process();
  const auto deadline = deadline_after(timeout);
  Lock lock(mutex_);
  const auto there = [&] {
    const auto found = channels_.find(channel);
    return found != channels_.end() && index < found->second.size();
  };
  if (!wait(lock, deadline, there)) return std::nullopt;
  return channels_.at(channel)[index];
}

void Client::send(std::span<const std::byte> request, const std::vector<os::Descriptor>& descriptors) {
  std::vector<int> fds;
  for (const auto& descriptor : descriptors) fds.push_back(descriptor.get());
  while (true) {
    switch (os::send_packet(socket_.get(), request, fds)) {
      case os::SendResult::sent: return;
      case os::SendResult::gone: wait_for_our_end();
      case os::SendResult::full: break;
    }
    // Root does not read on while it cannot get rid of its notices to us.
    os::wait_for(socket_.get(), POLLIN | POLLOUT, Clock::time_point::max());
    const Lock lock(mutex_);
    while (read_one()) {
    }
  }
}

// Waits until `condition` holds, looked at under the lock; false when `deadline` has passed. One thread reads for all who wait.
template <class Condition>
bool Client::wait(Lock& lock, Clock::time_point deadline, Condition condition) {
  if (deadline != Clock::time_point::max()) {
    while (read_one()) {  // what is there already counts, even when there is no time
    }
  }
  while (!condition()) {
    if (closed_) wait_for_our_end();
    if (Clock::now() >= deadline) return false;
    if (reading_) {
      if (deadline == Clock::time_point::max()) changed_.wait(lock);
      else changed_.wait_until(lock, deadline);
      continue;
    }
    wait_at_socket(lock, deadline);
    read_one();
    changed_.notify_all();  // who still waits takes our place
  }
  return true;
}

// Waits for a packet, unlocked, or until another thread has read one; on behalf of all threads.
void Client::wait_at_socket(Lock& lock, Clock::time_point deadline) {
  // Nobody else could read while the only thread waits: most processes need no bell.
  if (!reader_bell_ && !__libc_single_threaded) {
    reader_bell_ = os::Descriptor(os::check_call(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"));
  }
  reading_ = true;
  lock.unlock();
  std::array<pollfd, 2> list{{{socket_.get(), POLLIN, 0}, {reader_bell_.get(), POLLIN, 0}}};
  os::wait_for(list, deadline);
  lock.lock();
  reading_ = false;
  eventfd_t count;
  if (list[1].revents != 0) ::eventfd_read(reader_bell_.get(), &count);
}

// Something has changed: whoever waits, at the socket or behind who does, looks whether it is what he waits for.
void Client::wake_all() {
  changed_.notify_all();
  if (reading_ && reader_bell_) ::eventfd_write(reader_bell_.get(), 1);
}

bool Client::read_one() {
  if (closed_) return false;
  alignas(8) std::array<std::byte, kNoticeSizeMax> buffer;
  auto received = os::receive_packet(socket_.get(), buffer);
  closed_ = received.state == os::ReceivedPacket::State::closed;
  if (received.state != os::ReceivedPacket::State::packet) return false;
  note(std::span(buffer).first(received.size), std::move(received.descriptors));
  wake_all();
  return true;
}

void Client::note(std::span<const std::byte> packet, std::vector<os::Descriptor> descriptors) {
  read_packet<control::Notice>(packet, [&](control::Notice::Reader notice) {
    switch (notice.which()) {
      case control::Notice::ENDED: {
        const auto ended = notice.getEnded();
        const auto found = records_.find(ended.getId());
        if (found == records_.end()) return;  // forgotten
        if (found->second.users == 0) {
          records_.erase(found);
          return;
        }
        found->second.death = read(ended.getDeath());
        found->second.pid = ended.getPid();
        return;
      }
      case control::Notice::DESCRIBED: {
        const auto found = records_.find(notice.getDescribed().getId());
        if (found == records_.end()) return;
        if (!found->second.pid) found->second.pid = notice.getDescribed().getPid();
        return;
      }
      case control::Notice::WATCHED: {
        const auto found = records_.find(notice.getWatched().getId());
        if (found == records_.end()) return;
        found->second.watched = true;
        if (!found->second.sentinel && !descriptors.empty()) found->second.sentinel = std::move(descriptors.front());
        return;
      }
      case control::Notice::OPENED: {
        const auto opened = notice.getOpened();
        const auto found = openings_.find(opened.getThing());
        if (found == openings_.end()) return;
        found->second = {true, opened.getWhy(), {opened.getSlot(), descriptors.empty() ? os::Descriptor() : std::move(descriptors.front())}};
        return;
      }
      case control::Notice::NEWS: {
        const auto found = channels_.find(notice.getNews().getChannel());
        if (found == channels_.end()) return;
        const auto data = notice.getNews().getData();
        const auto* begin = reinterpret_cast<const std::byte*>(data.begin());
        found->second.emplace_back(begin, begin + data.size());
        return;
      }
      case control::Notice::DOWN:
        return tell_pump({.what = notice.which(), .process = notice.getDown().getProcess(), .death = read(notice.getDown().getDeath())});
      case control::Notice::OFFERED:
        if (news_.size() >= kNewsMax) return;  // the descriptors are closed: the other side sees the end of the link
        return tell_pump({.what = notice.which(),
                          .process = notice.getOffered().getFrom(),
                          .options = read(notice.getOffered().getOptions()),
                          .ends = std::move(descriptors)});
      case control::Notice::FOUND:
        return tell_pump({.what = notice.which(),
                          .question = notice.getFound().getQuestion(),
                          .place = notice.getFound().getActor(),
                          .options = read(notice.getFound().getOptions())});
      case control::Notice::NOT_FOUND:
        return tell_pump({.what = notice.which(),
                          .question = notice.getNotFound().getQuestion(),
                          .death = read(notice.getNotFound().getWhy())});
    }
  });
}

void Client::tell_pump(News news) {
  news_.push_back(std::move(news));
  if (bell_) ::eventfd_write(bell_.get(), 1);
}

int Client::descriptor() {
  check_process();
  const Lock lock(mutex_);
  if (!waker_) {
    bell_ = os::Descriptor(os::check_call(::eventfd(news_.empty() ? 0 : 1, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"));
    auto waker = std::make_unique<os::Epoll>();
    waker->add(socket_.get(), EPOLLIN, 0);
    waker->add(bell_.get(), EPOLLIN, 1);
    waker_ = std::move(waker);
  }
  return waker_->descriptor();
}

void Client::pump(ClientEvents& events) {
  check_process();
  std::deque<News> news;
  {
    const Lock lock(mutex_);
    while (read_one()) {
    }
    if (closed_) wait_for_our_end();
    eventfd_t count;
    if (bell_) ::eventfd_read(bell_.get(), &count);
    news.swap(news_);
  }
  for (auto& item : news) {
    switch (item.what) {
      case control::Notice::DOWN: events.down(item.process, item.death); break;
      case control::Notice::OFFERED: events.offered(item.process, item.options, std::move(item.ends)); break;
      case control::Notice::FOUND: events.found(item.question, item.place, item.options); break;
      case control::Notice::NOT_FOUND: events.not_found(item.question, item.death); break;
      default: break;
    }
  }
}

}  // namespace troupe::process
