// What clients ask of root, and how it tells them.

#include <algorithm>
#include <csignal>
#include <utility>

#include "os/socket.h"
#include "process/execute.h"
#include "process/packet.h"
#include "process/root_loop.h"

namespace troupe::process {

namespace {

void check_name(capnp::Text::Reader name) {
  if (name.size() > Names::kNameSizeMax) throw ProtocolError("a name of more than 1 KiB");
}

}  // namespace

// One packet; false if there is none.
bool RootLoop::serve(Process& client) {
  try {
    auto received = os::receive_packet(client.socket.get(), {buffer_.get(), kPacketSizeMax});
    if (received.state == os::ReceivedPacket::State::closed) disconnect(client);
    if (received.state != os::ReceivedPacket::State::packet) return false;
    if (received.truncated) throw ProtocolError("packet too large");
    handle(client, std::move(received));
  } catch (const std::runtime_error& error) {
    poison(client, error.what());
  }
  return true;
}

void RootLoop::handle(Process& client, os::ReceivedPacket packet) {
  using control::Request;
  read_packet<Request>({buffer_.get(), packet.size}, [&](Request::Reader request) {
    switch (request.which()) {
      case Request::START: return start(client, request.getStart(), std::move(packet));
      case Request::STOP:
        if (Process* child = child_of(client, request.getStop())) stop(*child);
        return;
      case Request::SIGNAL:
        if (Process* child = child_of(client, request.getSignal().getId())) {
          const int number = request.getSignal().getNumber();
          number == SIGKILL ? kill(*child) : send_signal(*child, number);
        }
        return;
      case Request::DESCRIBE: return describe(client, request.getDescribe());
      case Request::FAILED:
        if (!client.verdict) client.verdict = Death{Death::Cause::failed_to_start, 0, request.getFailed()};
        return;
      case Request::BLACK_BOX: return take_black_box(client, std::move(packet.descriptors));
      case Request::SENTINEL: return watch_for(client, request.getSentinel());
      case Request::READY:
        timers_.cancel(std::exchange(client.start_timer, 0));
        if (client.events) client.events->ready(client.id);
        return;
      case Request::REGISTER: {
        check_name(request.getRegister().getName());
        Address place = request.getRegister().getActor();
        place.process = client.id;
        client.uses_names = true;
        return answer(names_.register_name(request.getRegister().getName(), place));
      }
      case Request::LOOK_UP:
        check_name(request.getLookUp().getName());
        client.uses_names = true;
        return answer(names_.look_up(request.getLookUp().getName(), {client.id, request.getLookUp().getQuestion()}));
      case Request::THING: return handle(client, request.getThing(), std::move(packet.descriptors));
      case Request::LAST_WORDS: client.last_words = read(request.getLastWords()); return;
      case Request::CONNECT: return connect(client, request.getConnect(), std::move(packet));
      case Request::ORDER: return order(client, request, packet.descriptors);
    }
    throw ProtocolError("unknown request");
  });
}

void RootLoop::start(Process& client, control::Start::Reader start, os::ReceivedPacket packet) {
  if (client.dead) return;  // what it starts would end with it
  // They come in the order of their numbers, so that it is known of one whether it may come yet.
  if (starter_of(start.getId()) != client.serial || count_of(start.getId()) <= client.last_started) throw ProtocolError("not a number to give");
  ChildSpec spec = read(start);
  const auto entry = start.getEntry();
  spec.entry = spec.program ? &execute : origin_.modules.entry_at({entry.getModule(), entry.getOffset(), entry.getBuild()});
  const auto arguments = start.getArguments();
  const auto* bytes = reinterpret_cast<const std::byte*>(arguments.begin());
  spec.arguments.assign(bytes, bytes + arguments.size());
  if (packet.descriptors_lost) {
    report_soon(start.getId(), {Death::Cause::failed_to_start, 0, "root may open no more descriptors"}, nullptr);
  } else {
    launch(start.getId(), spec, packet.descriptors.empty() ? os::Descriptor() : std::move(packet.descriptors.front()), nullptr);
  }
  client.last_started = count_of(start.getId());
  introduce_early(client);
  drop_early_given(client, client.last_started);
}

// A program that was executed has no part in ours.
void RootLoop::take_black_box(Process& client, std::vector<os::Descriptor> descriptors) {
  if (!client.executed || descriptors.size() != 1 || !client.own_box.bytes().empty()) throw ProtocolError("no black box");
  if (os::shared_memory_size(descriptors.front()) != BlackBox::kSize) throw ProtocolError("not a black box");
  client.own_box = os::Mapping(descriptors.front(), BlackBox::kSize);
  boxes_.give_back(std::exchange(client.box, reinterpret_cast<BlackBox*>(client.own_box.bytes().data())));
}

void RootLoop::order(Process& client, control::Request::Reader request, const std::vector<os::Descriptor>& descriptors) {
  if (client.dead) return;
  if (!service_) throw ProtocolError("there is no service here");
  client.uses_service = true;
  const auto inside = request.getOrder();
  if (descriptors.empty()) return service_->ordered(client.id, {reinterpret_cast<const std::byte*>(inside.begin()), inside.size()});
  service_->ordered(client.id, read_sealed(descriptors.front()));
}

void RootLoop::tell_news(ProcessId client, std::uint64_t channel, std::span<const std::byte> news) {
  Process* process = roster_.by_id(client);
  if (!process) return;
  Outgoing<control::Notice> notice;
  auto told = notice->initNews();
  told.setChannel(channel);
  told.setData(kj::arrayPtr(reinterpret_cast<const kj::byte*>(news.data()), news.size()));
  tell(*process, notice.bytes());
}

// A living process that `client` started; none if it is dead.
Process* RootLoop::child_of(Process& client, ProcessId child) {
  if (starter_of(child) != client.serial) throw ProtocolError("not its child");
  return roster_.by_id(child);
}

void RootLoop::describe(Process& client, ProcessId child) {
  const Process* process = child_of(client, child);
  Outgoing<control::Notice> notice;
  auto described = notice->initDescribed();
  described.setId(child);
  described.setPid(process ? process->pid : 0);
  tell(client, notice.bytes());
}

void RootLoop::watch_for(Process& client, ProcessId child) {
  const Process* process = child_of(client, child);
  Outgoing<control::Notice> notice;
  notice->initWatched().setId(child);
  std::vector<os::Descriptor> pidfd;
  try {
    if (process) pidfd.push_back(process->pidfd.duplicate());
  } catch (const SystemError&) {  // none to spare: the client says so
  }
  tell(client, notice.bytes(), std::move(pidfd));
}

void RootLoop::connect(Process& client, control::Request::Connect::Reader connect, os::ReceivedPacket packet) {
  if (packet.descriptors_lost) {
    return tell_down(client, connect.getTo(), {Death::Cause::unreachable, 0, "root may open no more descriptors"});
  }
  this->connect(client, connect.getTo(), read(connect.getOptions()), std::move(packet.descriptors));
}

void RootLoop::connect(Process& client, ProcessId to, const transport::LinkOptions& options, std::vector<os::Descriptor> ends) {
  Process* peer = roster_.by_id(to);
  if (!peer) {
    // Its starter has told others of it already, and us not yet.
    Process* starter = starter_to_be(to);
    if (!starter || starter->early.size() >= kEarlyMax) {
      return tell_down(client, to, roster_.death_of(to));
    }
    starter->early.push_back({client.id, to, options, std::move(ends)});
    return;
  }
  if (!peer->socket || peer->outbox.size() >= kOutboxMax) {
    return tell_down(client, to, {Death::Cause::unreachable, 0, "it takes no links"});
  }
  client.linked.insert(to);
  peer->linked.insert(client.id);
  Outgoing<control::Notice> notice;
  auto offered = notice->initOffered();
  offered.setFrom(client.id);
  write(offered.initOptions(), options);
  tell(*peer, notice.bytes(), std::move(ends));
}

void RootLoop::introduce_early(Process& starter) {
  for (auto& link : std::exchange(starter.early, {})) {
    if (Process* from = roster_.by_id(link.from)) connect(*from, link.to, link.options, std::move(link.ends));
  }
}

void RootLoop::declare(const std::string& name, const transport::LinkOptions& options) { names_.declare(name, options); }

void RootLoop::choose_links(std::function<transport::LinkOptions(const std::string& one, const std::string& other)> choose) {
  choose_link_ = std::move(choose);
}

void RootLoop::withdraw(const std::string& name, const Death& why) { answer(names_.withdraw(name, why)); }

void RootLoop::withdraw_all(const Death& why) { answer(names_.withdraw_all(why)); }

void RootLoop::answer(const Names::Answers& answers) {
  for (const auto& answer : answers) {
    Process* asker = roster_.by_id(answer.to.process);
    if (!asker) continue;
    Outgoing<control::Notice> notice;
    if (answer.place) {
      auto found = notice->initFound();
      found.setQuestion(answer.to.question);
      answer.place->write(found.initActor());
      const Process* named = roster_.by_id(answer.place->process);
      write(found.initOptions(), choose_link_ && named ? choose_link_(asker->name, named->name) : answer.options);
    } else {
      auto not_found = notice->initNotFound();
      not_found.setQuestion(answer.to.question);
      write(not_found.initWhy(), answer.why);
    }
    tell(*asker, notice.bytes());
  }
}

void RootLoop::tell_down(Process& client, ProcessId process, const Death& death) {
  Outgoing<control::Notice> notice;
  auto down = notice->initDown();
  down.setProcess(process);
  write(down.initDeath(), death);
  tell(client, notice.bytes());
}

void RootLoop::tell(Process& client, std::span<const std::byte> notice, std::vector<os::Descriptor> descriptors) {
  if (!client.socket) return;
  client.outbox.push_back({{notice.begin(), notice.end()}, std::move(descriptors)});
  if (client.outbox.size() == 1 || client.outbox.size() == kOutboxMax) flush(client);
}

void RootLoop::flush(Process& client) {
  std::size_t sent = 0;
  for (; sent < client.outbox.size(); ++sent) {
    std::vector<int> fds;
    for (const auto& descriptor : client.outbox[sent].descriptors) fds.push_back(descriptor.get());
    os::SendResult result = os::SendResult::gone;
    try {
      result = os::send_packet(client.socket.get(), client.outbox[sent].bytes, fds);
    } catch (const SystemError& error) {
      poison(client, error.what());  // and nobody else, who happens to have something to say to it
    }
    if (result == os::SendResult::full) break;
    if (result == os::SendResult::busy) {
      flush_later(client);
      break;
    }
    if (result == os::SendResult::gone) {  // but what it said before is still to be read
      sent = client.outbox.size();
      break;
    }
  }
  client.outbox.erase(client.outbox.begin(), client.outbox.begin() + static_cast<std::ptrdiff_t>(sent));
  set_interest(client);
}

// Its socket is writable all the time, so waiting for that would be to turn round and round.
void RootLoop::flush_later(Process& client) {
  if (client.busy_timer != 0) return;
  client.busy_timer = timers_.at(Clock::now() + os::kBusyDelay, [this, serial = client.serial] {
    Process* waiting = roster_.by_serial(serial);
    if (!waiting) return;
    waiting->busy_timer = 0;
    if (waiting->socket) flush(*waiting);
  });
}

void RootLoop::set_interest(Process& client) {
  std::uint32_t interest = 0;
  if (client.outbox.size() < kOutboxMax) interest |= EPOLLIN;
  if (!client.outbox.empty() && client.busy_timer == 0) interest |= EPOLLOUT;
  if (interest == std::exchange(client.interest, interest)) return;
  epoll_.change(client.socket.get(), interest, key(Source::socket, client.serial));
}

// The process has closed its end, by exec for example; it goes on living, but says and hears nothing more.
void RootLoop::disconnect(Process& client) {
  client.outbox.clear();
  epoll_.remove(client.socket.get());
  client.socket.reset();
}

void RootLoop::poison(Process& client, const std::string& why) {
  if (!client.verdict) client.verdict = Death{Death::Cause::signalled, SIGKILL, "it broke the control protocol: " + why};
  kill(client);
}

}  // namespace troupe::process
