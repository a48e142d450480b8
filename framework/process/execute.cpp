#include "process/execute.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "os/check_call.h"
#include "os/memory.h"
#include "os/socket.h"
#include "process/birth.h"
#include "process/crash.h"

namespace troupe::process {

namespace {

// "SOCKET PID ROOT ID SERIAL DAEMON PARENT": numbers, and after them the names.
constexpr const char* kPlace = "TROUPE_CHILD";
constexpr const char* kName = "TROUPE_CHILD_NAME";
constexpr const char* kParentName = "TROUPE_CHILD_PARENT";

constexpr int kNotExecuted = 127;  // as shells have it

std::string take_variable(const char* name) {
  const char* value = std::getenv(name);
  std::string taken = value ? value : "";
  ::unsetenv(name);
  return taken;
}

// This process's black box lies in memory of its own, since it shares none with root.
void send_black_box(Client& client, Serial serial) {
  const auto memory = os::make_shared_memory("troupe-black-box", BlackBox::kSize);
  static const os::Mapping mapping(memory, BlackBox::kSize);
  client.black_box(memory.duplicate());
  open_black_box(reinterpret_cast<BlackBox*>(mapping.bytes().data()), serial, false);
}

}  // namespace

std::vector<std::byte> words_to_execute(const std::vector<std::string>& words) {
  std::vector<std::byte> bytes;
  for (const std::string& word : words) {
    const auto* data = reinterpret_cast<const std::byte*>(word.c_str());
    bytes.insert(bytes.end(), data, data + word.size() + 1);
  }
  return bytes;
}

int execute(std::span<const std::byte> words) {
  Client& client = *Client::here();
  std::vector<char*> list;
  std::string text(reinterpret_cast<const char*>(words.data()), words.size());
  for (std::size_t begin = 0; begin < text.size(); begin += std::strlen(text.data() + begin) + 1)
    list.push_back(text.data() + begin);
  list.push_back(nullptr);

  const int socket = client.give_socket();
  const auto& parent = client.parent();
  ::setenv(kPlace,
           fmt::format("{} {} {} {} {} {} {}", socket, ::getpid(), ::getppid(), client.self(), client.serial(),
                       client.daemon() ? 1 : 0, parent ? parent->pid : 0)
               .c_str(),
           1);
  ::setenv(kName, client.name().c_str(), 1);
  ::setenv(kParentName, parent ? parent->name.c_str() : "", 1);
  if (list.front()) ::execvp(list.front(), list.data());
  const std::string why = fmt::format("cannot execute {}: {}", list.front() ? list.front() : "nothing", std::strerror(errno));
  ::fcntl(socket, F_SETFD, FD_CLOEXEC);
  client.failed(why);
  ::_exit(kNotExecuted);
}

std::unique_ptr<Client> join_tree(const Origin& origin) {
  const std::string place = take_variable(kPlace);
  std::string name = take_variable(kName);
  std::string parent_name = take_variable(kParentName);
  int socket = 0, pid = 0, root = 0, daemon = 0, parent = 0;
  unsigned long long id = 0;
  unsigned serial = 0;
  if (std::sscanf(place.c_str(), "%d %d %d %llu %u %d %d", &socket, &pid, &root, &id, &serial, &daemon, &parent) != 7)
    return nullptr;
  // A child of such a program inherits its environment, but is a program of its own.
  if (pid != ::getpid() || root != ::getppid()) return nullptr;
  os::Descriptor ours(socket);
  if (os::socket_kind(ours) != os::SocketKind::packets) return static_cast<void>(ours.release()), nullptr;
  ::fcntl(socket, F_SETFD, FD_CLOEXEC);
  die_with_parent(root, SIGKILL);  // lost if the program is set-uid
  prepare_exits();
  install_crash_handlers();
  Client::Self self{id, serial, std::move(name), daemon != 0, std::nullopt, true};
  if (parent != 0) self.parent = {std::move(parent_name), parent};
  auto client = std::make_unique<Client>(std::move(ours), origin.modules, std::move(self));
  Client::set_here(client.get());
  send_black_box(*client, serial);
  return client;
}

}  // namespace troupe::process
