# For troupe itself and for those who use it: Cap'n Proto schemas in a target, and libraries of actors.

# troupe_schemas(TARGET BASE FILES…)
# Generates C++ for schemas below the folder BASE and adds it to TARGET: BASE/shop/order.capnp becomes `#include "shop/order.capnp.h"`.
# Schemas may import those below BASE, and troupe's own ("/troupe/address.capnp").
function(troupe_schemas target base)
  set(generated ${PROJECT_BINARY_DIR}/generated)
  file(MAKE_DIRECTORY ${generated})
  foreach(schema IN LISTS ARGN)
    get_filename_component(schema ${schema} ABSOLUTE)
    file(RELATIVE_PATH name ${base} ${schema})
    get_filename_component(folder ${generated}/${name} DIRECTORY)
    file(MAKE_DIRECTORY ${folder})
    add_custom_command(
      OUTPUT ${generated}/${name}.c++ ${generated}/${name}.h
      COMMAND ${CAPNP_EXECUTABLE} compile -o${CAPNPC_CXX_EXECUTABLE}:${generated} --src-prefix=${base}
              -I${base} -I${TROUPE_SCHEMA_DIR} -I${CAPNP_INCLUDE_DIRECTORY} ${schema}
      DEPENDS ${schema} VERBATIM)
    target_sources(${target} PRIVATE ${generated}/${name}.c++ ${generated}/${name}.h)
    # Generated code is not ours to warn about.
    set_source_files_properties(${generated}/${name}.c++ PROPERTIES COMPILE_OPTIONS -w SKIP_PRECOMPILE_HEADERS ON)
  endforeach()
  target_include_directories(${target} SYSTEM PUBLIC $<BUILD_INTERFACE:${generated}>)
endfunction()

# troupe_actor_library(NAME SOURCES files… [SCHEMAS files…])
# A library of actors for `library = "libNAME.so"` in a topology file. Schemas are included by their path from the current folder.
function(troupe_actor_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;SCHEMAS" ${ARGN})
  add_library(${name} MODULE ${ARG_SOURCES})
  target_compile_features(${name} PRIVATE cxx_std_20)
  target_link_libraries(${name} PRIVATE troupe::troupe)
  troupe_schemas(${name} ${CMAKE_CURRENT_SOURCE_DIR} ${ARG_SCHEMAS})
endfunction()
