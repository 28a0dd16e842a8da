// LSTM cell: the equations of cells/lstm.py on vectors of units, with the same equation numbers.
#include "register.hpp"

namespace TT_ISA {

struct Lstm : SharedErrors<4> {
  static constexpr int kept = 4, few = 2, many = 1;
  static constexpr bool has_c = true, uses_h = false, uses_output = false;

  template <class S>
  static void forward(const Vector<S>* a_x, const Vector<S>* a_h, Vector<S>, Vector<S> c_before, Vector<S>& h,
                      Vector<S>& c, Vector<S>* kept) {
    const Vector<S> i = logistic<S>(a_x[0] + a_h[0]), f = logistic<S>(a_x[1] + a_h[1]);  // (1) (2)
    const Vector<S> g = tanh<S>(a_x[2] + a_h[2]), o = logistic<S>(a_x[3] + a_h[3]);      // (3) (4)
    c = f * c_before + i * g;                                                            // (5)
    h = o * tanh<S>(c);                                                                  // (6)
    kept[0] = i, kept[1] = f, kept[2] = g, kept[3] = o;
  }

  template <class S>
  static void backward(const Vector<S>* kept, Vector<S>, Vector<S>, Vector<S> c, Vector<S> c_before, Vector<S> d_u,
                       Vector<S> d_c, Vector<S>* e, Vector<S>&, Vector<S>& d_c_before) {
    const Vector<S> i = kept[0], f = kept[1], g = kept[2], o = kept[3], tanh_c = tanh<S>(c);
    d_c += d_u * o * (S(1) - tanh_c * tanh_c);  // through (6)
    e[0] = d_c * g * i * (S(1) - i);            // through (5) and (1)
    e[1] = d_c * c_before * f * (S(1) - f);     // through (5) and (2)
    e[2] = d_c * i * (S(1) - g * g);            // through (5) and (3)
    e[3] = d_u * tanh_c * o * (S(1) - o);       // through (6) and (4)
    d_c_before = d_c * f;
  }
};

}  // namespace TT_ISA

TT_REGISTER(lstm, TT_ISA::Lstm)
