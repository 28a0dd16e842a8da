// Entry points of the library: validate the sizes, and dispatch to the instruction set in use.
#include <cstring>
#include <string>

#include "throughtime.h"

tt_parallel_for tt_threads_of_the_host = nullptr;

// Expands X(set, arguments) for each instruction set of this build, best first.
#if defined(TT_WITH_AVX512)
#define TT_SETS(X, ...) X(avx512, __VA_ARGS__) X(avx2, __VA_ARGS__) X(baseline, __VA_ARGS__)
#else
#define TT_SETS(X, ...) X(baseline, __VA_ARGS__)
#endif

// Entry points of each set, as TT_REGISTER defines them: TT_DECLARE with the set's name after the cell's.
extern "C" {
#define TT_DECLARE_SET(set, cell) TT_DECLARE(cell##_##set)
#define TT_DECLARE_SETS(cell) TT_SETS(TT_DECLARE_SET, cell)
TT_CELLS(TT_DECLARE_SETS)
}

namespace {

enum Set { avx512, avx2, baseline };

bool runs_here(Set set) {
#if defined(__x86_64__)
  if (set == avx512)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
  if (set == avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return set == baseline;
}

const char* name_of(Set set) { return set == avx512 ? "avx512" : set == avx2 ? "avx2" : "baseline"; }

std::string available() {
  std::string names;
#define TT_ADD(set, names) \
  if (runs_here(set)) names += (names.empty() ? "" : " ") + std::string(name_of(set));
  TT_SETS(TT_ADD, names)
  return names;
}

Set best() {
#define TT_FIRST(set, unused) \
  if (runs_here(set)) return set;
  TT_SETS(TT_FIRST, best)
  return baseline;
}

Set chosen = best();

bool in_range(const tt_problem& p) {
  const bool output_fits = p.weight_hr ? p.output <= p.hidden : p.output == p.hidden;
  const bool packed_fits = !p.packed || p.lengths;
  return p.steps >= 0 && p.batch >= 0 && p.input >= 0 && p.hidden > 0 && p.output > 0 && output_fits && packed_fits;
}

bool lengths_in_range(const tt_problem& p) {
  if (!p.lengths) return p.entries == p.steps * p.batch;
  int64_t sum = 0;
  for (int64_t b = 0; b < p.batch; sum += p.lengths[b++])
    if (p.lengths[b] < 0 || p.lengths[b] > p.steps) return false;
  return p.entries == (p.packed ? sum : p.steps * p.batch);
}

// An index addresses weights: entries after a row's end may hold anything, all others are looked at.
bool indices_in_range(const tt_problem& p) {
  if (!p.index) return true;
  const auto good = [&](int64_t n) { return p.index[n] >= 0 && p.index[n] < p.input; };
  if (p.packed || !p.lengths) {
    for (int64_t n = 0; n < p.entries; ++n)
      if (!good(n)) return false;
    return true;
  }
  for (int64_t t = 0; t < p.steps; ++t)
    for (int64_t b = 0; b < p.batch; ++b)
      if (t < p.lengths[b] && !good(t * p.batch + b)) return false;
  return true;
}

}  // namespace

extern "C" {

void tt_use_threads(tt_parallel_for parallel_for) { tt_threads_of_the_host = parallel_for; }

const char* tt_instruction_sets(void) {
  static const std::string names = available();
  return names.c_str();
}

int tt_use_instruction_set(const char* name) {
#define TT_TAKE(set, name)                                      \
  if (std::strcmp(name, name_of(set)) == 0 && runs_here(set)) { \
    chosen = set;                                               \
    return TT_OK;                                               \
  }
  TT_SETS(TT_TAKE, name)
  return TT_BAD_ARGUMENT;
}

const char* tt_instruction_set(void) { return name_of(chosen); }

#define TT_CASE(set, cell, what) \
  if (chosen == set) return tt_##cell##_##set##_##what(a, threads);
#define TT_DISPATCH(cell, what, Arguments)                            \
  int tt_##cell##_##what(const Arguments* a, int64_t threads) {       \
    if (!in_range(a->problem) || threads < 1) return TT_BAD_ARGUMENT; \
    if (!lengths_in_range(a->problem)) return TT_BAD_LENGTHS;         \
    if (!indices_in_range(a->problem)) return TT_BAD_INDEX;           \
    TT_SETS(TT_CASE, cell, what)                                      \
    return TT_BAD_ARGUMENT;                                           \
  }
#define TT_ENTRIES(cell)                                               \
  TT_DISPATCH(cell, forward_float, tt_forward_arguments)               \
  TT_DISPATCH(cell, forward_double, tt_forward_arguments)              \
  TT_DISPATCH(cell, backward_float, tt_backward_arguments)             \
  TT_DISPATCH(cell, backward_double, tt_backward_arguments)            \
  int tt_##cell##_gates(void) { return tt_##cell##_baseline_gates(); } \
  int tt_##cell##_has_c(void) { return tt_##cell##_baseline_has_c(); } \
  int tt_##cell##_biases_differ(void) { return tt_##cell##_baseline_biases_differ(); }
TT_CELLS(TT_ENTRIES)
}
