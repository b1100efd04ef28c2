# Stands in for Debian's spdlog package in ThreadSanitizer builds (preset tsan sets spdlog_DIR): compiled into our own
# files, so that the sanitizer sees its synchronisation and Debian's shared library raises no false reports.
find_package(Threads REQUIRED)
find_path(spdlog_include spdlog/spdlog.h REQUIRED)
find_path(fmt_include fmt/format.h REQUIRED)
set(spdlog_VERSION 1.10)
foreach(name spdlog spdlog_header_only)
  if(NOT TARGET spdlog::${name})
    add_library(spdlog::${name} INTERFACE IMPORTED)
    target_include_directories(spdlog::${name} INTERFACE ${spdlog_include} ${fmt_include})
    target_compile_definitions(spdlog::${name} INTERFACE SPDLOG_FMT_EXTERNAL FMT_HEADER_ONLY=1)
    target_link_libraries(spdlog::${name} INTERFACE Threads::Threads)
  endif()
endforeach()
