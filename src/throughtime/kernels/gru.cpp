// GRU cell: the equations of cells/gru.py on vectors of units, with the same equation numbers.
#include "register.hpp"

namespace TT_ISA {

struct Gru {
  static constexpr int gates = 3, kept = 4, errors = 4, recurrent_error = 1;
  static constexpr int segments = 3, turned_gates = 1, few = 2, many = 1;
  static constexpr bool biases_differ = true;  // b_hn is inside the product with r
  static constexpr bool has_c = false, uses_h = true, uses_output = false, has_direct = true;

  template <class S>
  static void forward(const Vector<S>* a_x, const Vector<S>* a_h, Vector<S> h_before, Vector<S>, Vector<S>& h,
                      Vector<S>&, Vector<S>* kept) {
    const Vector<S> r = logistic<S>(a_x[0] + a_h[0]), z = logistic<S>(a_x[1] + a_h[1]);  // (1) (2)
    const Vector<S> n = tanh<S>(a_x[2] + r * a_h[2]);                                    // (3)
    h = n + z * (h_before - n);                                                          // (4), with a product fewer
    kept[0] = r, kept[1] = z, kept[2] = n, kept[3] = a_h[2];
  }

  // Order of the errors: n of a^x, r, z, n of a^h. The first three belong to a^x, the last three to a^h.
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

  static void split(int64_t H, Segment* segments) {
    segments[0] = {H, 2 * H, 0, {true, true}};
    segments[1] = {0, H, 2 * H, {true, false}};
    segments[2] = {3 * H, H, 2 * H, {false, true}};
  }
};

}  // namespace TT_ISA

TT_REGISTER(gru, TT_ISA::Gru)
