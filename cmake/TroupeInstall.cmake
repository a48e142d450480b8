# cmake --install: the library, the command, the public headers and schemas, and what find_package(troupe) needs.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/troupe)

install(TARGETS troupe EXPORT troupe)
if(TARGET troupe_command)
  install(TARGETS troupe_command)
endif()
install(DIRECTORY ${TROUPE_SCHEMA_DIR}/troupe DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN *.h PATTERN *.capnp)
install(DIRECTORY ${PROJECT_BINARY_DIR}/generated/troupe DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN *.capnp.h)
install(FILES ${PROJECT_SOURCE_DIR}/docs/topology.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(EXPORT troupe NAMESPACE troupe:: FILE troupeTargets.cmake DESTINATION ${package_dir})

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/troupeConfig.cmake.in ${PROJECT_BINARY_DIR}/troupeConfig.cmake
  INSTALL_DESTINATION ${package_dir} PATH_VARS CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/troupeConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/troupeConfig.cmake ${PROJECT_BINARY_DIR}/troupeConfigVersion.cmake
  ${PROJECT_SOURCE_DIR}/cmake/TroupeSchemas.cmake DESTINATION ${package_dir})
