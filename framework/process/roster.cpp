#include "process/roster.h"

#include <algorithm>
#include <utility>

namespace troupe::process {

Process& Roster::add(std::unique_ptr<Process> process) {
  Process& added = *process;
  pids_.insert(added.pid);
  serials_[added.serial] = &added;
  ids_[added.id] = std::move(process);
  return added;
}

std::unique_ptr<Process> Roster::remove(Process& process, const Death& death) {
  if (deaths_.size() < kDeathsKept) {
    deaths_.emplace_back(process.id, death);
  } else {
    deaths_[next_death_] = {process.id, death};
    next_death_ = (next_death_ + 1) % kDeathsKept;
  }
  pids_.erase(process.pid);
  serials_.erase(process.serial);
  return std::move(ids_.extract(process.id).mapped());
}

Process* Roster::by_id(ProcessId id) const {
  const auto found = ids_.find(id);
  return found == ids_.end() ? nullptr : found->second.get();
}

Process* Roster::by_serial(Serial serial) const {
  const auto found = serials_.find(serial);
  return found == serials_.end() ? nullptr : found->second;
}

Process* Roster::by_pid(pid_t pid) const {
  const auto found = std::ranges::find_if(ids_, [pid](const auto& entry) { return entry.second->pid == pid; });
  return found == ids_.end() ? nullptr : found->second.get();
}

Death Roster::death_of(ProcessId id) const {
  const auto found = std::ranges::find(deaths_, id, &std::pair<ProcessId, Death>::first);
  return found == deaths_.end() ? Death{Death::Cause::unreachable, 0, "no such process"} : found->second;
}

Serial Roster::new_serial() {
  do ++last_serial_;
  while (last_serial_ == kRootSerial || serials_.contains(last_serial_));
  return last_serial_;
}

}  // namespace troupe::process
