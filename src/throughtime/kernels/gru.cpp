// The GRU cell: cells/gru.py, on vectors, with the same numbers at the same equations.
#include "register.hpp"

namespace TT_ISA {

// Vectors per unit: `gates` of a^x and a^h, `kept` from the forward to the backward pass (beyond the gates in `extra`),
// `errors` that the backward pass writes, of which W_hh takes those from `recurrent_error` on. The backward pass reads
// h_{t-1} if `uses_h` and h_t if `uses_output`; `has_direct`: dL/dh_{t-1} has a part that does not pass through W_hh.
struct Gru {
  static constexpr int gates = 3, kept = 4, errors = 4, recurrent_error = 1;
  static constexpr int few = 2, many = 1;               // vectors of units in a tile: with at most two rows, and more
  static constexpr int segments = 3, turned_gates = 1;  // the errors begin with the last gate
  static constexpr bool own_bias = true;                // b_hn stands inside the product with r
  static constexpr bool has_c = false, uses_h = true, uses_output = false, has_direct = true;

  // From a^x, a^h, h_{t-1} and c_{t-1} (for the LSTM) to h_t, c_t and what is kept.
  template <class S>
  static void forward(const Vector<S>* a_x, const Vector<S>* a_h, Vector<S> h_before, Vector<S>, Vector<S>& h,
                      Vector<S>&, Vector<S>* kept) {
    const Vector<S> r = logistic<S>(a_x[0] + a_h[0]), z = logistic<S>(a_x[1] + a_h[1]);  // (1) (2)
    const Vector<S> n = tanh<S>(a_x[2] + r * a_h[2]);                                    // (3)
    h = n + z * (h_before - n);                                                          // (4), with one product less
    kept[0] = r, kept[1] = z, kept[2] = n, kept[3] = a_h[2];
  }

  // From what was kept, h_t, h_{t-1}, c_t, c_{t-1}, dL/dh_t and dL/dc_t to the errors, and the parts of dL/dh_{t-1} and
  // dL/dc_{t-1} that do not pass through W_hh.
  // The errors in the order n of a^x, r, z, n of a^h: the first three belong to a^x, the last three to a^h.
  template <class S>
  static void backward(const Vector<S>* kept, Vector<S>, Vector<S> h_before, Vector<S>, Vector<S>, Vector<S> d_h,
                       Vector<S>, Vector<S>* e, Vector<S>& direct, Vector<S>&) {
    const Vector<S> r = kept[0], z = kept[1], n = kept[2], a_h_n = kept[3];
    e[0] = d_h * (S(1) - z) * (S(1) - n * n);      // through (4) and (3)
    e[1] = e[0] * a_h_n * r * (S(1) - r);          // through (3) and (1)
    e[2] = d_h * (h_before - n) * z * (S(1) - z);  // through (4) and (2)
    e[3] = e[0] * r;
    direct = d_h * z;
  }

  // Where the errors go among the rows of W_ih and W_hh: see Segment in outer.hpp.
  static void split(int64_t H, Segment* segments) {
    segments[0] = {H, 2 * H, 0, {true, true}};
    segments[1] = {0, H, 2 * H, {true, false}};
    segments[2] = {3 * H, H, 2 * H, {false, true}};
  }
};

}  // namespace TT_ISA

TT_REGISTER(gru, TT_ISA::Gru)
