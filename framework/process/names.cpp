#include "process/names.h"

#include <algorithm>
#include <utility>

namespace troupe::process {

namespace {

Death unknown(const std::string& name) { return {Death::Cause::unreachable, 0, "no actor is called `" + name + "`"}; }

}  // namespace

Names::Answer Names::answer_of(const Entry& entry, const Asker& asker) {
  return {asker, entry.place, entry.options, entry.death.value_or(Death{})};
}

Names::Answers Names::answer_all(Entry& entry) {
  Answers answers;
  for (const Asker& asker : std::exchange(entry.waiting, {})) answers.push_back(answer_of(entry, asker));
  return answers;
}

void Names::declare(const std::string& name, const transport::LinkOptions& options) {
  Entry& entry = names_[name];
  entry.declared = true;
  entry.options = options;
  entry.death.reset();
}

Names::Answers Names::withdraw(const std::string& name, const Death& why) {
  Entry& entry = names_[name];
  entry.declared = false;
  entry.place.reset();
  entry.death = why;
  return answer_all(entry);
}

Names::Answers Names::withdraw_all(const Death& why) {
  Answers answers;
  for (auto& [name, entry] : names_) {
    if (!entry.declared) continue;
    entry.declared = false;
    if (!entry.place) entry.death = why;
    for (auto& answer : answer_all(entry)) answers.push_back(std::move(answer));
  }
  return answers;
}

Names::Answers Names::register_name(const std::string& name, const Address& place) {
  if (names_.size() >= kNamesMax && !names_.contains(name)) return {};
  Entry& entry = names_[name];
  if (!place) {  // nobody, for now
    if (entry.place && entry.place->process == place.process) entry.place.reset();
    return {};
  }
  entry.place = place;
  entry.death.reset();
  return answer_all(entry);
}

Names::Answers Names::look_up(const std::string& name, const Asker& asker) {
  const auto found = names_.find(name);
  if (found == names_.end()) return {{asker, std::nullopt, {}, unknown(name)}};
  Entry& entry = found->second;
  if (entry.place || entry.death) return {answer_of(entry, asker)};
  const Death too_many{Death::Cause::unreachable, 0, "too many ask for `" + name + "`"};
  if (entry.waiting.size() >= kAskersMax) return {{asker, std::nullopt, {}, too_many}};
  Answers given_up;
  const auto of_same = [&](const Asker& other) { return other.process == asker.process; };
  if (std::ranges::count_if(entry.waiting, of_same) >= static_cast<std::ptrdiff_t>(kAskersOfOneMax)) {
    const auto oldest = std::ranges::find_if(entry.waiting, of_same);
    given_up.push_back({*oldest, std::nullopt, {}, too_many});
    entry.waiting.erase(oldest);
  }
  entry.waiting.push_back(asker);
  return given_up;
}

void Names::ended(ProcessId process, const Death& death) {
  for (auto& [name, entry] : names_) {
    std::erase_if(entry.waiting, [&](const Asker& asker) { return asker.process == process; });
    if (!entry.place || entry.place->process != process) continue;
    entry.place.reset();
    if (entry.declared) continue;
    entry.death = death;
    dead_.push_back(name);
  }
  for (; dead_.size() > kDeadNamesMax; dead_.pop_front()) {
    const auto oldest = names_.find(dead_.front());
    if (oldest != names_.end() && oldest->second.death && !oldest->second.declared) names_.erase(oldest);
  }
}

}  // namespace troupe::process
