// Elman cell: the equations of cells/elman.py on vectors of units.
#include "register.hpp"

namespace TT_ISA {

enum class Phi { tanh, relu, identity };

template <Phi phi> struct Elman : SharedErrors<1> {
  static constexpr int kept = 0, few = 4, many = 2;
  static constexpr bool has_c = false, uses_h = false, uses_output = true;

  template <class S>
  static void forward(const Vector<S>* a_x, const Vector<S>* a_h, Vector<S>, Vector<S>, Vector<S>& h, Vector<S>&,
                      Vector<S>*) {
    const Vector<S> a = a_x[0] + a_h[0], zero{};
    if constexpr (phi == Phi::tanh) h = tanh<S>(a);  // [MR] (4), [HSK] (1)
    else if constexpr (phi == Phi::relu) h = a < zero ? zero : a;
    else h = a;  // [Y]
  }

  template <class S>
  static void backward(const Vector<S>*, Vector<S> h, Vector<S>, Vector<S>, Vector<S>, Vector<S> d_h, Vector<S>,
                       Vector<S>* e, Vector<S>&, Vector<S>&) {
    const Vector<S> zero{};
    if constexpr (phi == Phi::tanh) e[0] = d_h * (S(1) - h * h);  // [MR] (6)
    else if constexpr (phi == Phi::relu) e[0] = h <= zero ? zero : d_h;
    else e[0] = d_h;
  }
};

}  // namespace TT_ISA

TT_REGISTER(elman_tanh, TT_ISA::Elman<TT_ISA::Phi::tanh>)
TT_REGISTER(elman_relu, TT_ISA::Elman<TT_ISA::Phi::relu>)
TT_REGISTER(elman_identity, TT_ISA::Elman<TT_ISA::Phi::identity>)
