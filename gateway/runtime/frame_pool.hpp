// Memory for coroutine frames: per-thread free lists by size, so that a request's handful of frames
// costs a handful of pointer moves instead of malloc calls.
//
// Thread-safety: each thread has its own lists; a frame may be freed on another thread (it joins
// that thread's lists). Bounds: at most kCachedPerClass blocks are kept per size class, 64-byte
// classes up to 4 KiB; larger frames use malloc.
#pragma once

#include <cstddef>

namespace millrace::gateway {

void* allocate_frame(std::size_t size);
void free_frame(void* frame, std::size_t size) noexcept;

}  // namespace millrace::gateway
