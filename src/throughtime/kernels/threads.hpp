// Distribution of a call's work over threads, barriers, and scratch memory.
#pragma once

#include <atomic>
#include <cstdint>
#include <new>

#include <sched.h>

#include "memory.hpp"
#include "throughtime.h"

extern tt_parallel_for tt_threads_of_the_host;  // NULL: the calling thread alone

namespace TT_ISA {

// Uninitialised array, aligned to 64 bytes so that no vector straddles two cache lines. Throws std::bad_alloc. Code
// that is compiled per instruction set uses no standard container: the linker merges copies of an inline function, and
// could keep a copy with instructions that this machine lacks.
template <class T> class Scratch {
 public:
  explicit Scratch(int64_t count = 0) { resize(count); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { tt_give_back(memory_, bytes_); }

  void resize(int64_t count) {
    tt_give_back(memory_, bytes_);
    bytes_ = count * sizeof(T);
    memory_ = static_cast<T*>(tt_take(bytes_));
    if (count && !memory_) throw std::bad_alloc();
  }
  T* data() const { return memory_; }
  T& operator[](int64_t i) const { return memory_[i]; }

 private:
  T* memory_ = nullptr;
  size_t bytes_ = 0;
};

// Reusable spinning barrier for the members of a team. A step takes microseconds, too short to sleep; after 2000 spins
// a member yields its core, for machines with fewer free cores than members.
class Barrier {
 public:
  // Set the number of members. Every member calls `join` with the same value before its first `wait`.
  void join(int64_t members) { members_.store(members, std::memory_order_relaxed); }

  void wait() {
    const int64_t members = members_.load(std::memory_order_relaxed);
    if (members == 1) return;
    const int64_t now = phase_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == members) {
      arrived_.store(0, std::memory_order_relaxed);
      phase_.store(now + 1, std::memory_order_release);
      return;
    }
    for (int spins = 0; phase_.load(std::memory_order_acquire) == now && !abandoned_.load(std::memory_order_relaxed);
         ++spins)
      if (spins > 2000) sched_yield();
  }

  // Release all members for good after one has failed; the call's results are then discarded.
  void abandon() { abandoned_.store(true, std::memory_order_relaxed); }

 private:
  std::atomic<bool> abandoned_{false};
  std::atomic<int64_t> members_{1};
  alignas(64) std::atomic<int64_t> arrived_{0};
  alignas(64) std::atomic<int64_t> phase_{0};
};

// Split of a call's work over threads.
struct Plan {
  int64_t participants;
  bool by_units;  // split the hidden units, with a barrier after each step; else split the rows, without barriers
  int64_t rows;   // largest number of rows per participant
};

// Multiply-adds below which a step is not worth a second thread. A call below ten such steps runs on one thread.
constexpr int64_t kSmallStep = 24000;

// Elements below which a copy is not worth a second thread.
constexpr int64_t kSmallCopy = 32000;

// Bytes of weights that fit the L2 cache of a core. Larger weights are split over the threads.
constexpr int64_t kNearCache = 1 << 20;

// Choose the split. `weights` counts the elements of the recurrent matrix, which every step reads once.
inline Plan plan_for(const tt_problem& p, int64_t weights, int64_t element_bytes, int64_t threads,
                     bool may_split_units) {
  const int64_t batch = p.batch, step_size = batch * weights;
  if (!tt_threads_of_the_host || threads <= 1 || step_size * p.steps < 10 * kSmallStep) return {1, false, batch};
  if (may_split_units && (batch < 2 * threads || weights * element_bytes > kNearCache))
    return step_size < kSmallStep ? Plan{1, false, batch} : Plan{threads, true, batch};
  const int64_t participants = batch < threads ? batch : threads;
  return {participants, false, (batch + participants - 1) / participants};
}

// Call body(begin, end) on parts of [0, count) on the host's threads. No exception may cross the host's C frames, so a
// std::bad_alloc of a thread is caught there and thrown again by the caller.
template <class Body> void on_threads(int64_t count, int64_t grain, Body&& body) {
  struct Shared {
    Body& body;
    std::atomic<bool> failed{false};
  } shared{body};
  const auto part = [](int64_t begin, int64_t end, void* context) {
    Shared& s = *static_cast<Shared*>(context);
    try {
      s.body(begin, end);
    } catch (const std::bad_alloc&) {
      s.failed.store(true);
    }
  };
  if (tt_threads_of_the_host(0, count, grain, part, &shared) != 0 || shared.failed.load()) throw std::bad_alloc();
}

// Call body(begin, end) concurrently on at most `participants` parts of [0, count). body needs no barrier.
template <class Body> void in_parts(int64_t participants, int64_t count, Body&& body) {
  if (participants <= 1 || count <= 1) return body(int64_t{0}, count);
  on_threads(count, (count + participants - 1) / participants, body);
}

// Call body(member, members, first tile, end tile, barrier) concurrently on each participant. `barrier` is NULL unless
// units are split.
template <class Body> void run_plan(const Plan& plan, int64_t tiles, Body&& body) {
  if (plan.participants == 1) {
    body(int64_t{0}, int64_t{1}, int64_t{0}, tiles, static_cast<Barrier*>(nullptr));
    return;
  }
  std::atomic<int64_t> team{0}, covered{0};
  Barrier barrier{};
  on_threads(plan.participants, 1, [&](int64_t begin, int64_t end) {
    if (!plan.by_units) {
      for (int64_t member = begin; member < end; ++member)
        body(member, plan.participants, int64_t{0}, tiles, static_cast<Barrier*>(nullptr));
      return;
    }
    // The host may use fewer threads than participants. The team is complete once its ranges cover all participants.
    const int64_t member = team.fetch_add(1);
    covered.fetch_add(end - begin);
    while (covered.load() != plan.participants) sched_yield();
    const int64_t members = team.load();
    barrier.join(members);
    try {
      body(member, members, tiles * member / members, tiles * (member + 1) / members, &barrier);
    } catch (const std::bad_alloc&) {
      barrier.abandon();
      throw;
    }
  });
}

}  // namespace TT_ISA
