// Two processes talk over a pipe, each at one end. When one is done, the other is told.

#include <troupe/troupe.h>

#include <cctype>
#include <iostream>
#include <string>

void shout(troupe::Connection pipe) {
  try {
    while (true) {
      auto line = pipe.recv<std::string>();
      for (char& letter : line) letter = static_cast<char>(std::toupper(letter));
      pipe.send(line + "!");
    }
  } catch (const troupe::EndOfFile&) {
    std::cout << "shouter: nobody talks to me any more" << std::endl;
  }
}

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);
  auto [ours, theirs] = troupe::Pipe();

  troupe::Process shouter(shout, theirs);
  shouter.start();
  theirs.close();  // only the shouter holds that end now: if it died, we would be told

  for (const auto& line : {std::string("hello"), std::string("is there anybody")}) {
    ours.send(line);
    std::cout << "main: " << ours.recv<std::string>() << std::endl;
  }
  ours.close();
  shouter.join();

  // The other side's death, even by kill -9, is the end of the file.
  auto [end, other_end] = troupe::Pipe();
  troupe::Process victim([](troupe::Connection pipe) { pipe.recv<int>(); }, other_end);
  victim.start();
  other_end.close();
  victim.kill();
  try {
    end.recv<int>();
  } catch (const troupe::EndOfFile& error) {
    std::cout << "main: " << error.what() << std::endl;
  }
}
