# The installed headers are Debian's; any 1.x up to theirs is served.
set(PACKAGE_VERSION 1.10)
if(NOT PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION)
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
endif()
