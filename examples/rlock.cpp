// An RLock may be acquired again by who holds it: so functions that take it may call each other.

#include <troupe/troupe.h>

#include <iostream>
#include <mutex>
#include <vector>

struct Account {
  troupe::RLock lock;
  troupe::RawValue<int> balance{0};
  static auto fields(auto& self) { return std::tie(self.lock, self.balance); }
};

void deposit(Account& account, int amount) {
  const std::scoped_lock hold(account.lock);
  account.balance.value() += amount;
}

void deposit_twice(Account account, int amount) {
  const std::scoped_lock hold(account.lock);
  deposit(account, amount);
  deposit(account, amount);
}

int main(int argc, char** argv) {
  troupe::Program program(argc, argv);
  const Account account;
  std::vector<troupe::Process> processes;
  for (int amount = 1; amount <= 4; ++amount) processes.emplace_back(deposit_twice, account, amount);
  for (auto& process : processes) process.start();
  for (auto& process : processes) process.join();
  std::cout << "balance: " << account.balance.value() << '\n';
}
