#include "actors.h"
#include "cli/command.h"

int main(int argc, char** argv) { return troupe::cli::main_command(argc, argv, &troupe::actors::add_all); }
