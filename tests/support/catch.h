#pragma once

// The one place that knows which Catch2 this is: Debian 12 has 2.13, Debian 13 has 3.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif
