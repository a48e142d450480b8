#pragma once

#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/supervisor.h"

// Runs a supervisor through a script, so that a case of its behaviour is a few readable lines:
//
//     script("one_for_one 1/5s", "a b:transient",
//            "up; crash a -> start a; ready a; crash a -> stop b; gone b -> ended gave_up a")
//
// A step is followed by the commands that it must cause; where `->` is missing, they are not looked at. See step() for the words.
namespace troupe::supervisor::testing {

inline std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  std::istringstream in{std::string(text)};
  for (std::string part; std::getline(in, part, separator);) {
    const auto begin = part.find_first_not_of(" \n"), end = part.find_last_not_of(" \n");
    parts.push_back(begin == std::string::npos ? "" : part.substr(begin, end - begin + 1));
  }
  return parts;
}

inline Duration duration(std::string_view text) {
  const auto number = std::stol(std::string(text));
  if (text == "inf") return kForever;
  return text.ends_with("ms") ? Duration(std::chrono::milliseconds(number)) : Duration(std::chrono::seconds(number));
}

inline ChildSpec child_spec(std::string_view text) {
  const auto words = split(text, ':');
  ChildSpec spec;
  spec.id = words[0];
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "transient") spec.restart = Restart::transient;
    else if (word == "temporary") spec.restart = Restart::temporary;
    else if (word == "sig") spec.significant = true;
    else if (word == "kill") spec.stop_timeout = Duration::zero();
    else if (word == "inf") spec.stop_timeout = kForever;
    else if (word == "sup") spec.supervisor = std::make_shared<SupervisorSpec>();
    else if (word.starts_with("stop=")) spec.stop_timeout = duration(word.substr(5));
    else if (word.starts_with("ready=")) spec.start_timeout = duration(word.substr(6));
    else throw std::invalid_argument("child: " + word);
  }
  return spec;
}

inline SupervisorSpec supervisor_spec(std::string_view flags, std::string_view children) {
  SupervisorSpec spec;
  for (const auto& word : split(flags, ' ')) {
    if (word == "one_for_one") spec.strategy = Strategy::one_for_one;
    else if (word == "one_for_all") spec.strategy = Strategy::one_for_all;
    else if (word == "rest_for_one") spec.strategy = Strategy::rest_for_one;
    else if (word == "any") spec.auto_shutdown = AutoShutdown::any_significant;
    else if (word == "all") spec.auto_shutdown = AutoShutdown::all_significant;
    else if (word == "retry") spec.first_start = FirstStart::retry;
    else if (word == "until_done") spec.end_when_done = true;
    else if (word == "backoff") spec.backoff = {.min = std::chrono::milliseconds(100), .max = std::chrono::seconds(1), .jitter = 0};
    else if (word.find('/') != std::string::npos) {
      spec.max_restarts = static_cast<unsigned>(std::stoul(word));
      spec.max_seconds = duration(word.substr(word.find('/') + 1));
    } else throw std::invalid_argument("supervisor: " + word);
  }
  for (const auto& word : split(children, ' '))
    if (!word.empty()) spec.children.push_back(child_spec(word));
  return spec;
}

inline const char* word(Outcome::Why why) {
  static constexpr const char* kWords[] = {"stopped", "done", "gave_up", "start_failed"};
  return kWords[static_cast<std::size_t>(why)];
}

inline const char* word(Result result) {
  static constexpr const char* kWords[] = {"ok",      "not_found", "running", "restarting",   "already_present", "already_started",
                                           "invalid", "failed",    "shutting_down"};
  return kWords[static_cast<std::size_t>(result)];
}

class Script {
 public:
  explicit Script(const SupervisorSpec& spec) : supervisor_(spec, 1) {}

  // Empty if all went as written, else the first step that did not.
  std::string run(std::string_view text) {
    for (const auto& line : split(text, ';')) {
      if (line.empty()) continue;
      const auto arrow = line.find("->");
      const auto seen = step(split(line.substr(0, arrow), ' '));
      if (arrow == std::string::npos) continue;
      std::string wanted;
      for (const auto& part : split(line.substr(arrow + 2), ',')) wanted += (wanted.empty() ? "" : ", ") + part;
      if (seen != wanted) return "after `" + line.substr(0, arrow) + "` wanted `" + wanted + "`, saw `" + seen + "`";
    }
    return "";
  }

  const Supervisor& supervisor() const { return supervisor_; }
  Time now() const { return now_; }
  const std::vector<command::Note>& notes() const { return notes_; }

 private:
  std::string step(const std::vector<std::string>& words) {
    const std::string& verb = words[0];
    const std::string name = words.size() > 1 ? words[1] : "";
    if (verb == "begin") return send(event::Begin{});
    if (verb == "up") {  // begin, and every child is ready as soon as it is started
      std::string all = send(event::Begin{});
      for (bool more = true; more;) {
        more = false;
        for (const Child& child : supervisor_.children()) {
          if (child.state != ChildState::starting) continue;
          all += "; " + send(event::Ready{life_.at(child.spec.id)});
          more = true;
          break;
        }
      }
      return all;
    }
    if (verb == "ready") return send(event::Ready{life_.at(name)});
    if (verb == "crash") return send(event::Ended{life_.at(name), {Death::Cause::signalled, 11, ""}});
    if (verb == "error") return send(event::Ended{life_.at(name), {Death::Cause::exited, 3, ""}});
    if (verb == "exit") return send(event::Ended{life_.at(name), {Death::Cause::exited, 0, ""}});
    if (verb == "fail") return send(event::Ended{life_.at(name), {Death::Cause::failed_to_start, 0, "no such file"}});
    if (verb == "gone") return send(event::Ended{life_.at(name), {Death::Cause::stopped, 0, ""}});
    if (verb == "early") return send(event::Ready{life_.at(name) + 1});
    if (verb == "nobody") return send(event::Ended{0, {}});
    if (verb == "late") return send(event::Ended{life_.at(name) - 1, {Death::Cause::stopped, 0, ""}});
    if (verb == "stop") return send(event::Stop{});
    if (verb == "kill") return send(event::Kill{});
    if (verb == "wait") return now_ += duration(name), "";
    if (verb == "tick") return now_ += duration(name), send(event::Tick{});
    if (verb == "start_child") return send(event::StartChild{++request_, child_spec(name)});
    if (verb == "terminate") return send(event::TerminateChild{++request_, name});
    if (verb == "restart") return send(event::RestartChild{++request_, name});
    if (verb == "delete") return send(event::DeleteChild{++request_, name});
    if (verb == "children") return children();
    throw std::invalid_argument("step: " + verb);
  }

  std::string children() const {
    std::string all;
    for (const Child& child : supervisor_.children())
      all += (all.empty() ? "" : ", ") + child.spec.id + " " + name_of(child.state);
    return all;
  }

  std::string send(const Event& event) {
    std::string all;
    for (const Command& command : supervisor_.handle(event, now_)) {
      const std::string text = describe(command);
      if (!text.empty()) all += (all.empty() ? "" : ", ") + text;
    }
    return all;
  }

  std::string describe(const Command& command) {
    if (const auto* start = std::get_if<command::Start>(&command)) {
      life_[start->spec.id] = start->life;
      id_[start->life] = start->spec.id;
      return "start " + start->spec.id;
    }
    if (const auto* stop = std::get_if<command::Stop>(&command)) return "stop " + id_.at(stop->life);
    if (const auto* kill = std::get_if<command::Kill>(&command)) return "kill " + id_.at(kill->life);
    if (std::holds_alternative<command::Started>(command)) return "started";
    if (const auto* ended = std::get_if<command::Ended>(&command))
      return std::string("ended ") + word(ended->outcome.why) + (ended->outcome.child.empty() ? "" : " " + ended->outcome.child);
    if (const auto* answer = std::get_if<command::Answer>(&command))
      return "answer " + std::to_string(answer->request) + " " + word(answer->result);
    notes_.push_back(std::get<command::Note>(command));
    return "";
  }

  Supervisor supervisor_;
  Time now_{std::chrono::hours(1)};
  Request request_ = 0;
  std::map<std::string, Life> life_;
  std::map<Life, std::string> id_;
  std::vector<command::Note> notes_;
};

}  // namespace troupe::supervisor::testing
