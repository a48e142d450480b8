// What a process asks of root besides starting and ending others, and tells it of itself.

#include <fcntl.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "os/check_call.h"
#include "process/client.h"
#include "process/names.h"
#include "process/packet.h"

namespace troupe::process {

namespace {

constexpr std::size_t kLastWordsMax = 1000;  // bytes

void check_name(const std::string& name) {
  if (name.size() > Names::kNameSizeMax) throw std::invalid_argument("an actor's name has at most 1024 bytes");
}

}  // namespace

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

void Client::last_words(const std::string& why, const Death& seen) {
  check_process();
  Outgoing<control::Request> request;
  Death words{.detail = why.substr(0, std::min(why.find('\n'), kLastWordsMax))};
  words.message = seen.message;
  words.stack = seen.stack;
  write(request->initLastWords(), words);
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

ThingId Client::create_thing(ThingKind kind, const os::Descriptor& memory, ThingId first, const os::Descriptor& socket) {
  check_process();
  ThingId id;
  {
    const Lock lock(mutex_);
    id = make_id(self_.serial, ++things_made_);
    openings_.try_emplace(id);
  }
  Outgoing<control::Request> request;
  auto create = request->initThing().initCreate();
  create.setId(id);
  create.setKind(static_cast<std::uint8_t>(kind));
  create.setFirst(first);
  create.setSocket(static_cast<bool>(socket));
  std::vector<os::Descriptor> descriptors;
  try {
    descriptors.push_back(memory.duplicate());
    if (socket) descriptors.push_back(socket.duplicate());
    send(request.bytes(), descriptors);
  } catch (...) {
    const Lock lock(mutex_);
    openings_.erase(id);
    throw;
  }
  Lock lock(mutex_);
  const Opening made = opening(lock, id);
  if (!made.why.empty()) throw SystemError(EMFILE, made.why);
  return id;
}

// Waits for root's answer.
Client::Opening Client::opening(Lock& lock, ThingId thing) {
  wait(lock, Clock::time_point::max(), [&] { return openings_[thing].answered; });
  Opening opened = std::move(openings_.extract(thing).mapped());
  wake_all();
  return opened;
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
  Opening opened = opening(lock, thing);
  if (opened.overwritten) throw ProtocolError(opened.why);
  if (!opened.why.empty()) throw SystemError(ENOENT, opened.why);
  if (!opened.access.memory) {
    lock.unlock();
    close_thing(thing);  // root has counted us
    os::throw_error(EMFILE, "no descriptor left for what a handle stands for");
  }
  return std::move(opened.access);
}

void Client::close_thing(ThingId thing) {
  if (!is_here()) return;
  Outgoing<control::Request> request;
  request->initThing().setClose(thing);
  send(request.bytes());
}

void Client::waits_for(ThingId thing) {
  check_process();
  Outgoing<control::Request> request;
  request->initThing().setWaits(thing);
  send(request.bytes());
}

void Client::found_broken(ThingId thing) {
  check_process();
  Outgoing<control::Request> request;
  request->initThing().setBroken(thing);
  send(request.bytes());
}

// As many packets as it takes.
template <class Fill>
void Client::send_things(std::span<const ThingId> things, Fill fill) {
  check_process();
  while (!things.empty()) {
    const auto some = things.first(std::min(things.size(), kThingsMax));
    Outgoing<control::Request> request;
    fill(request->initThing(), kj::arrayPtr(some.data(), some.size()));
    send(request.bytes());
    things = things.subspan(some.size());
  }
}

// Root has to know of them before a consumer can say that it is done with them.
std::vector<Ticket> Client::lay_things(ThingId queue, std::span<const std::vector<ThingId>> items) {
  std::vector<Ticket> tickets(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].empty()) continue;
    {
      const Lock lock(mutex_);
      tickets[i] = Ticket{self_.serial} << 32 | ++items_laid_;
    }
    send_things(items[i], [&](control::ThingRequest::Builder request, const auto& some) {
      auto lay = request.initLay();
      lay.setQueue(queue);
      lay.setTicket(tickets[i]);
      lay.setThings(some);
    });
  }
  if (std::ranges::all_of(tickets, [](Ticket ticket) { return ticket == 0; })) return tickets;
  std::uint64_t question = 0;
  {
    const Lock lock(mutex_);
    question = ++laid_asked_;
  }
  Outgoing<control::Request> request;
  request->initThing().setLaid(question);
  send(request.bytes());
  Lock lock(mutex_);
  wait(lock, Clock::time_point::max(), [&] { return laid_ >= question; });
  return tickets;
}

void Client::items_over(ThingId queue, std::span<const Ticket> items) {
  send_things(items, [&](control::ThingRequest::Builder request, const auto& some) {
    auto over = request.initOver();
    over.setFrom(queue);
    over.setItems(some);
  });
}

void Client::keep_things(ThingId holder, const std::vector<ThingId>& things) {
  send_things(things, [&](control::ThingRequest::Builder request, const auto& some) {
    auto keep = request.initKeep();
    keep.setHolder(holder);
    keep.setHeld(some);
  });
}

void Client::unkeep_things(ThingId holder, const std::vector<ThingId>& things) {
  send_things(things, [&](control::ThingRequest::Builder request, const auto& some) {
    auto unkeep = request.initUnkeep();
    unkeep.setHolder(holder);
    unkeep.setHeld(some);
  });
}

void Client::give_things(ProcessId to, const std::vector<ThingId>& things) {
  send_things(things, [&](control::ThingRequest::Builder request, const auto& some) {
    auto give = request.initGive();
    give.setTo(to);
    give.setGiven(some);
  });
}

void Client::things_arrived(ProcessId at, const std::vector<ThingId>& things) {
  send_things(things, [&](control::ThingRequest::Builder request, const auto& some) {
    auto arrived = request.initArrived();
    arrived.setAt(at);
    arrived.setGone(some);
  });
}

void Client::grant(ProcessId to, const std::vector<ThingId>& things) {
  send_things(things, [&](control::ThingRequest::Builder request, const auto& some) {
    auto grant = request.initGrant();
    grant.setTo(to);
    grant.setThings(some);
  });
}

void Client::granted(const ThingGrant& thing) {
  granted_[thing.id] = {thing.slot, os::Descriptor(thing.memory), os::Descriptor(thing.socket)};
}

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
  if (order.size() > kInlineArgumentsMax) descriptors.push_back(write_sealed(order));
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

}  // namespace troupe::process
