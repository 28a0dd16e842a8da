// TT_REGISTER, with which each cell's file ends: the cell's entry points for one instruction set. The build compiles
// each file once per set, with TT_ISA as its name; library.cpp chooses among them at run time.
#pragma once

#include <new>

#include "backward.hpp"
#include "forward.hpp"

namespace TT_ISA {

// Runs a pass; no exception may cross the C interface.
template <class Arguments> int guarded(void (*run)(const Arguments&, int64_t), const Arguments* a, int64_t threads) {
  try {
    run(*a, threads);
    return TT_OK;
  } catch (const std::bad_alloc&) {
    return TT_OUT_OF_MEMORY;
  }
}

}  // namespace TT_ISA

#define TT_NAME(cell, what, isa) tt_##cell##_##what##_##isa
#define TT_ENTRY(cell, what, isa) TT_NAME(cell, what, isa)
#define TT_REGISTER(cell, Cell)                                                                  \
  extern "C" {                                                                                   \
  int TT_ENTRY(cell, forward_float, TT_ISA)(const tt_forward_arguments* a, int64_t threads) {    \
    return TT_ISA::guarded(TT_ISA::forward<Cell, float>, a, threads);                            \
  }                                                                                              \
  int TT_ENTRY(cell, forward_double, TT_ISA)(const tt_forward_arguments* a, int64_t threads) {   \
    return TT_ISA::guarded(TT_ISA::forward<Cell, double>, a, threads);                           \
  }                                                                                              \
  int TT_ENTRY(cell, backward_float, TT_ISA)(const tt_backward_arguments* a, int64_t threads) {  \
    return TT_ISA::guarded(TT_ISA::backward<Cell, float>, a, threads);                           \
  }                                                                                              \
  int TT_ENTRY(cell, backward_double, TT_ISA)(const tt_backward_arguments* a, int64_t threads) { \
    return TT_ISA::guarded(TT_ISA::backward<Cell, double>, a, threads);                          \
  }                                                                                              \
  int TT_ENTRY(cell, biases_differ, TT_ISA)(void) { return Cell::own_bias; }                     \
  }
