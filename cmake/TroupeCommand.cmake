# The command, build/<preset>/troupe: framework/cli/main.cpp with the ready-made actors.
if(EXISTS ${PROJECT_SOURCE_DIR}/framework/cli/main.cpp)
  add_executable(troupe_command ${PROJECT_SOURCE_DIR}/framework/cli/main.cpp)
  set_target_properties(troupe_command PROPERTIES OUTPUT_NAME troupe RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
  target_include_directories(troupe_command PRIVATE ${PROJECT_SOURCE_DIR}/framework)
  target_link_libraries(troupe_command PRIVATE troupe_actors troupe::troupe troupe_flags)
endif()
