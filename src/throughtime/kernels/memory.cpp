#include "memory.hpp"

#include <cstdint>
#include <cstdlib>
#include <mutex>

#include <sys/mman.h>

namespace {

constexpr std::size_t kLarge = 1 << 18, kHugePage = 1 << 21, kMostKept = std::size_t{1} << 28;

struct Block {
  void* memory;
  std::size_t bytes;
};

// Cached blocks, newest first. No caller blocks on the lock, only try_lock: after a fork the thread that held the lock
// may not exist in the child.
constexpr int kBlocks = 32;
std::mutex lock;
Block kept[kBlocks];
std::size_t bytes_kept = 0;

// Round large sizes up by at most an eighth: a cached block then also serves a batch of slightly different length.
std::size_t rounded(std::size_t bytes) {
  std::size_t bounds = bytes < kLarge ? 64 : 4096;
  while (bounds * 16 <= bytes && bytes >= kLarge) bounds *= 2;
  return (bytes + bounds - 1) / bounds * bounds;
}

Block taken_out(int index) {
  const Block block = kept[index];
  for (int i = index; i + 1 < kBlocks; ++i) kept[i] = kept[i + 1];
  kept[kBlocks - 1] = {};
  bytes_kept -= block.bytes;
  return block;
}

void keep(Block block) {
  for (int i = kBlocks; i-- > 0 && (bytes_kept + block.bytes > kMostKept || kept[kBlocks - 1].memory);)
    if (kept[i].memory) std::free(taken_out(i).memory);
  for (int i = kBlocks - 1; i > 0; --i) kept[i] = kept[i - 1];
  kept[0] = block;
  bytes_kept += block.bytes;
}

}  // namespace

void* tt_take(std::size_t bytes) {
  if (!bytes) return nullptr;
  bytes = rounded(bytes);
  if (bytes >= kLarge && lock.try_lock()) {
    const std::lock_guard<std::mutex> held(lock, std::adopt_lock);
    for (int i = 0; i < kBlocks && kept[i].memory; ++i)
      if (kept[i].bytes == bytes) return taken_out(i).memory;
  }
  void* memory = std::aligned_alloc(64, bytes);
  if (memory) tt_will_fill(memory, bytes);
  return memory;
}

void tt_give_back(void* memory, std::size_t bytes) {
  if (!memory) return;
  bytes = rounded(bytes);
  if (bytes < kLarge || bytes > kMostKept || !lock.try_lock()) return std::free(memory);
  const std::lock_guard<std::mutex> held(lock, std::adopt_lock);
  keep({memory, bytes});
}

void tt_will_fill(void* memory, std::size_t bytes) {
#ifdef MADV_HUGEPAGE
  const std::uintptr_t begin = (reinterpret_cast<std::uintptr_t>(memory) + kHugePage - 1) & ~(kHugePage - 1);
  const std::uintptr_t end = (reinterpret_cast<std::uintptr_t>(memory) + bytes) & ~(kHugePage - 1);
  // With huge pages a page fault occurs every 2 MB, not every 4 kB.
  if (memory && end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}
