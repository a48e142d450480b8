# How every target of the project is compiled, what a room is, and how rooms become one library.
include(TroupeSchemas)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_BUILD_RPATH_USE_ORIGIN ON)
set(CMAKE_INSTALL_RPATH $ORIGIN/../${CMAKE_INSTALL_LIBDIR})
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

# Where ccache is installed, clones of the project share its cache.
find_program(TROUPE_CCACHE ccache)
mark_as_advanced(TROUPE_CCACHE)
if(TROUPE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${TROUPE_CCACHE})
endif()

# Interface target that carries our warnings and sanitizers. Functions of libtroupe.so call one another directly.
add_library(troupe_flags INTERFACE)
target_compile_options(troupe_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wno-missing-field-initializers
  -fno-semantic-interposition $<$<BOOL:${TROUPE_WERROR}>:-Werror>)
if(TROUPE_SANITIZE)
  target_compile_options(troupe_flags INTERFACE -fsanitize=${TROUPE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer
    # g++ 12 sees uninitialized variables in <regex> where it instruments the code.
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_link_options(troupe_flags INTERFACE -fsanitize=${TROUPE_SANITIZE})
endif()

set(TROUPE_SCHEMA_DIR ${PROJECT_SOURCE_DIR}/framework/include)

# troupe_room(NAME USES rooms… HEADERS public headers and schemas… LINKS libraries…)
# A room is a folder of framework/ and a static library troupe_NAME of all its sources and schemas. It may include its own
# headers, those of the rooms it USES and of the rooms those use. tests/tidy reads these calls and holds the code to them.
# main.cpp is not part of a room: it belongs to the command.
function(troupe_room room)
  cmake_parse_arguments(ARG "" "" "USES;HEADERS;LINKS" ${ARGN})
  set(target troupe_${room})
  file(GLOB sources CONFIGURE_DEPENDS ${room}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  file(GLOB schemas CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${room}/*.capnp)
  set(public_schemas ${ARG_HEADERS})
  list(FILTER public_schemas INCLUDE REGEX "\\.capnp$")
  list(TRANSFORM public_schemas PREPEND ${TROUPE_SCHEMA_DIR}/troupe/)
  list(TRANSFORM ARG_USES PREPEND troupe_)

  set(scope PUBLIC)
  if(sources OR schemas OR public_schemas)
    add_library(${target} STATIC ${sources})
    set_target_properties(${target} PROPERTIES LINKER_LANGUAGE CXX)
    troupe_schemas(${target} ${CMAKE_CURRENT_SOURCE_DIR} ${schemas})
    troupe_schemas(${target} ${TROUPE_SCHEMA_DIR} ${public_schemas})
    target_link_libraries(${target} PRIVATE troupe_flags)
    set_property(GLOBAL APPEND PROPERTY TROUPE_ARCHIVES ${target})
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(${target} ${scope} ${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/include)
  target_link_libraries(${target} ${scope} ${ARG_USES} ${ARG_LINKS})
  set_property(GLOBAL APPEND PROPERTY TROUPE_ROOMS ${room})
  set_property(GLOBAL APPEND PROPERTY TROUPE_LINKS ${ARG_LINKS})
endfunction()

# troupe_library(): libtroupe.so, target troupe::troupe, of all rooms. The command, user programs and libraries of actors link it, so
# that in one process there is one copy of everything.
function(troupe_library)
  add_library(troupe SHARED)
  add_library(troupe::troupe ALIAS troupe)
  get_property(archives GLOBAL PROPERTY TROUPE_ARCHIVES)
  foreach(archive IN LISTS archives)
    target_sources(troupe PRIVATE $<TARGET_OBJECTS:${archive}>)
  endforeach()
  get_property(links GLOBAL PROPERTY TROUPE_LINKS)
  target_link_libraries(troupe PUBLIC CapnProto::capnp Threads::Threads PRIVATE ${links} troupe_flags)
  set_target_properties(troupe PROPERTIES LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR} LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
  target_include_directories(troupe INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/framework/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_include_directories(troupe SYSTEM INTERFACE $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/generated>)
  target_compile_features(troupe INTERFACE cxx_std_20)
  # The build id tells a function of a library from that of another build of it. Names are bound at once, in root: what is left to
  # be bound later would be bound in every process anew, a third of its page faults.
  target_link_options(troupe PRIVATE -Wl,-Bsymbolic-functions PUBLIC -Wl,--build-id -Wl,-z,now)
endfunction()
