// Contract of a cell: a struct of constants and static functions, the template argument `Cell` of both passes.
//
// All arguments of `forward` and `backward` are vectors of units; unused arguments stay unnamed.
//
//   gates            blocks G of H rows in the weights, hence vectors of a^x and of a^h per vector of units
//   kept             vectors kept from the forward to the backward pass: the gates, then `extra`
//   errors           vectors dL/da per vector of units that the backward pass writes
//   recurrent_error  first of the G errors that belong to a^h
//   segments         number of segments that `split` fills, see Segment in outer.hpp
//   turned_gates     number of last gates whose errors precede the others, in the errors of a^x
//   few, many        vectors of units in a tile, with at most two rows and with more
//   biases_differ    whether dL/db_ih and dL/db_hh differ, see throughtime.h
//   has_c            whether the state has a member c
//   uses_h           whether the pointwise part and its derivative read h_{t-1}
//   uses_output      whether `backward` reads h_t
//   has_direct       whether dL/dh_{t-1} has a part that does not pass through W_hh
//
//   forward(a_x, a_h, h_before, c_before, h, c, kept)      computes h_t, c_t and the kept vectors
//   backward(kept, h, h_before, c, c_before, d_h, d_c, e, direct, d_c_before)
//                                                          computes the errors e, and the parts of dL/dh_{t-1} and
//                                                          dL/dc_{t-1} that do not pass through W_hh
//   split(H, segments)                                     assigns the errors to the rows of W_ih and W_hh
#pragma once

#include "outer.hpp"

namespace TT_ISA {

// Base of a cell that reads only the sum a^x + a^h: both affine maps have the same errors, in the order of the gates.
template <int G> struct SharedErrors {
  static constexpr int gates = G, errors = G, recurrent_error = 0, segments = 1, turned_gates = 0;
  static constexpr bool biases_differ = false, has_direct = false;

  static void split(int64_t H, Segment* segments) { segments[0] = {0, G * H, 0, {true, true}}; }
};

}  // namespace TT_ISA
