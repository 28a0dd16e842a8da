// Memory that is needed during one call. Large blocks are kept for the next one: to get 10 MB from the system and fill it
// for the first time takes as long as a layer's pass.
#pragma once

#include <cstddef>

// `bytes` of uninitialised memory on a cache-line bound; NULL for 0 bytes or when there is none. Any thread may call.
void* tt_take(std::size_t bytes);
void tt_give_back(void* memory, std::size_t bytes);

// Says that all of an array is about to be written, perhaps for the first time.
void tt_will_fill(void* memory, std::size_t bytes);
