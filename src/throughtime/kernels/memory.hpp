// Workspace allocator that caches large blocks between calls. To map 10 MB and touch them for the first time takes as
// long as a layer's pass.
#pragma once

#include <cstddef>

// Allocate `bytes` of uninitialised memory, aligned to 64 bytes. Returns NULL for 0 bytes, or if memory ran out.
// Thread-safe. The caller returns the block with tt_give_back and the same number of bytes.
void* tt_take(std::size_t bytes);
void tt_give_back(void* memory, std::size_t bytes);

// Prepare an array that is about to be written in full: ask the system for huge pages. Only a hint.
void tt_will_fill(void* memory, std::size_t bytes);
