# How every target of the project is compiled, and what a room and its test are.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# Interface target that carries our warnings and sanitizers.
add_library(troupe_flags INTERFACE)
target_compile_options(troupe_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wno-missing-field-initializers
  $<$<BOOL:${TROUPE_WERROR}>:-Werror>)
if(TROUPE_SANITIZE)
  target_compile_options(troupe_flags INTERFACE -fsanitize=${TROUPE_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(troupe_flags INTERFACE -fsanitize=${TROUPE_SANITIZE})
endif()

# troupe_capnp(TARGET DIR FILES…): generates C++ for schemas of DIR and adds it to TARGET. `#include "<room>/<name>.capnp.h"`.
function(troupe_capnp target base)
  foreach(schema IN LISTS ARGN)
    file(RELATIVE_PATH name ${base} ${schema})
    set(out ${PROJECT_BINARY_DIR}/generated/${name})
    get_filename_component(out_dir ${out} DIRECTORY)
    file(MAKE_DIRECTORY ${out_dir})
    add_custom_command(
      OUTPUT ${out}.c++ ${out}.h
      COMMAND ${CAPNP_EXECUTABLE} compile -o${CAPNPC_CXX_EXECUTABLE}:${PROJECT_BINARY_DIR}/generated
              --src-prefix=${base} -I${PROJECT_SOURCE_DIR}/framework/include -I${CAPNP_INCLUDE_DIRECTORY} ${schema}
      DEPENDS ${schema} VERBATIM)
    target_sources(${target} PRIVATE ${out}.c++ ${out}.h)
    # Generated code is not ours to warn about.
    set_source_files_properties(${out}.c++ PROPERTIES COMPILE_OPTIONS -w)
  endforeach()
  target_include_directories(${target} SYSTEM PUBLIC $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/generated>)
endfunction()

# troupe_room(NAME USES rooms… HEADERS public headers… LINKS libraries…)
# A room is a folder of framework/ and a static library troupe_NAME of all its sources and schemas. It may include its own
# headers, those of the rooms it USES and of the rooms those use. tests/tidy reads these calls and holds the code to them.
function(troupe_room room)
  cmake_parse_arguments(ARG "" "" "USES;HEADERS;LINKS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${room}/*.cpp)
  file(GLOB schemas CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${room}/*.capnp)
  if(NOT sources)
    return()
  endif()
  add_library(troupe_${room} STATIC ${sources})
  troupe_capnp(troupe_${room} ${CMAKE_CURRENT_SOURCE_DIR} ${schemas})
  target_include_directories(troupe_${room} PUBLIC $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}>
                             $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>)
  list(TRANSFORM ARG_USES PREPEND troupe_)
  target_link_libraries(troupe_${room} PUBLIC ${ARG_USES} ${ARG_LINKS} PRIVATE troupe_flags)
  set_property(GLOBAL APPEND PROPERTY TROUPE_ROOMS troupe_${room})
endfunction()
