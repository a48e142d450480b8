#pragma once

#include <troupe/catalog.h>

namespace troupe::actors {

// Every ready-made actor, under the name that topology files use.
void add_all(ActorCatalog& catalog);

}  // namespace troupe::actors
