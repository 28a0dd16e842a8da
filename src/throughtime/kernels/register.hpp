// TT_REGISTER defines a cell's entry points for one instruction set; each cell's file ends with it. The build compiles
// each file once per instruction set, whose name is TT_ISA; library.cpp selects a set at run time.
#pragma once

#include <new>

#include "backward.hpp"
#include "forward.hpp"

namespace TT_ISA {

// Run a pass and convert its exception, which must not cross the C interface, to a status.
template <class Arguments> int guarded(void (*run)(const Arguments&, int64_t), const Arguments* a, int64_t threads) {
  try {
    run(*a, threads);
    return TT_OK;
  } catch (const std::bad_alloc&) {
    return TT_OUT_OF_MEMORY;
  }
}

}  // namespace TT_ISA

#define TT_NAME(cell, what, isa) tt_##cell##_##isa##_##what
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
  int TT_ENTRY(cell, gates, TT_ISA)(void) { return Cell::gates; }                                \
  int TT_ENTRY(cell, has_c, TT_ISA)(void) { return Cell::has_c; }                                \
  int TT_ENTRY(cell, biases_differ, TT_ISA)(void) { return Cell::biases_differ; }                \
  }
