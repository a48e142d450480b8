#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "process/client.h"
#include "process/origin.h"

namespace troupe::process {

// A child that is another program. It is forked like any other, and then executes that; its connection to root stays open, and an
// environment variable says which it is. If the program makes a troupe::Program, that finds it and joins the tree as this process;
// if not, it is a process of the tree all the same, that says nothing.

// The arguments of a ChildSpec with `program` set. The first word is looked for in $PATH.
std::vector<std::byte> words_to_execute(const std::vector<std::string>& words);

// The entry of such a child: comes back only when the program cannot be executed, having told root why.
int execute(std::span<const std::byte> words);

// In a program that was executed so: its connection. Null in all others.
std::unique_ptr<Client> join_tree(const Origin& origin);

}  // namespace troupe::process
