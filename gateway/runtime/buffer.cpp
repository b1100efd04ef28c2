#include "gateway/runtime/buffer.hpp"

#include <bit>
#include <cstring>
#include <new>

#include "config/base/assert.hpp"

namespace millrace::gateway {
namespace {

std::size_t class_of(std::size_t capacity) {
    const std::size_t rounded =
        std::bit_ceil(capacity < BufferPool::kSmallest ? BufferPool::kSmallest : capacity);
    return static_cast<std::size_t>(std::countr_zero(rounded / BufferPool::kSmallest));
}

}  // namespace

void Buffer::append(std::string_view bytes) {
    MILLRACE_ASSERT(bytes.size() <= room());
    if (!bytes.empty()) {
        std::memcpy(tail(), bytes.data(), bytes.size());
        size_ += bytes.size();
    }
}

void Buffer::release() {
    if (data_ != nullptr) {
        pool_->put(data_, capacity_);
        data_ = nullptr;
        capacity_ = size_ = 0;
    }
}

BufferPool::~BufferPool() {
    for (auto& list : free_) {
        for (char* block : list) {
            ::operator delete(block);
        }
    }
}

Buffer BufferPool::get(std::size_t capacity) {
    const std::size_t size_class = class_of(capacity);
    if (size_class >= kClasses) {
        return Buffer(this, static_cast<char*>(::operator new(capacity)), capacity);
    }
    const std::size_t size = kSmallest << size_class;
    auto& list = free_[size_class];
    if (list.empty()) {
        return Buffer(this, static_cast<char*>(::operator new(size)), size);
    }
    char* block = list.back();
    list.pop_back();
    free_bytes_ -= size;
    return Buffer(this, block, size);
}

void BufferPool::put(char* data, std::size_t capacity) {
    const std::size_t size_class = class_of(capacity);
    if (size_class >= kClasses || free_bytes_ + capacity > kKept) {
        ::operator delete(data);
        return;
    }
    free_[size_class].push_back(data);
    free_bytes_ += capacity;
}

void BufferPool::grow(Buffer& buffer, std::size_t capacity) {
    if (buffer.capacity() >= capacity) {
        return;
    }
    Buffer bigger = get(capacity);
    bigger.append(buffer.view());
    buffer = std::move(bigger);
}

bool ByteBudget::try_take(std::uint64_t bytes) {
    if (used_.fetch_add(bytes, std::memory_order_relaxed) + bytes > limit()) {
        give_back(bytes);
        return false;
    }
    return true;
}

bool BudgetLease::grow_to(std::uint64_t bytes) {
    MILLRACE_ASSERT(budget_ != nullptr);
    if (bytes <= held_) {
        return true;
    }
    if (!budget_->try_take(bytes - held_)) {
        return false;
    }
    held_ = bytes;
    return true;
}

void BudgetLease::release() {
    if (held_ > 0) {
        budget_->give_back(held_);
        held_ = 0;
    }
}

}  // namespace millrace::gateway
