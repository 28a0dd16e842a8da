// SIMD vectors of TT_VECTOR_BYTES bytes, with tanh and the logistic function. S is float or double.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#ifndef TT_VECTOR_BYTES
#define TT_VECTOR_BYTES 16
#endif

namespace TT_ISA {

template <class S> struct VectorOf {
  typedef S type __attribute__((vector_size(TT_VECTOR_BYTES)));
};
template <class S> using Vector = typename VectorOf<S>::type;
template <class S> constexpr int kLanes = TT_VECTOR_BYTES / static_cast<int>(sizeof(S));

template <class S> using Integer = std::conditional_t<sizeof(S) == 4, std::int32_t, std::int64_t>;

template <class S> inline Vector<S> broadcast(S value) { return value - Vector<S>{}; }

template <class S> inline Vector<S> load(const S* from) {
  Vector<S> v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

template <class S> inline void store(S* to, Vector<S> v) { std::memcpy(to, &v, sizeof v); }

// Partial load and store of the first `count` lanes; the other lanes load as zero and are not stored.
template <class S> inline Vector<S> load(const S* from, int count) {
  Vector<S> v{};
  for (int i = 0; i < count; ++i) v[i] = from[i];
  return v;
}

template <class S> inline void store(S* to, Vector<S> v, int count) {
  for (int i = 0; i < count; ++i) to[i] = v[i];
}

template <class S> inline Vector<S> clamp(Vector<S> x, S bound) {  // NaN stays NaN: both comparisons are false
  x = x > broadcast<S>(bound) ? broadcast<S>(bound) : x;
  return x < broadcast<S>(-bound) ? broadcast<S>(-bound) : x;
}

// exp(x) = 2^n (1 + m), where m = expm1(r), r = x - n ln 2, |r| <= ln 2 / 2. Valid for |x| <= 87 (float), 708 (double).
template <class S> struct Exponential {
  Vector<S> power;  // 2^n
  Vector<S> m;
};

template <class S> inline Exponential<S> exponential(Vector<S> x) {
  constexpr bool single = sizeof(S) == 4;
  constexpr S magic =
      single ? S(12582912.0) : S(6755399441055744.0);  // 1.5 · 2^(digits − 1): addition rounds to whole numbers
  constexpr S ln2_high = single ? S(0.693145751953125) : S(0.693147180369123816490);
  constexpr S ln2_low = single ? S(1.428606765330187e-06) : S(1.90821492927058770002e-10);
  const Vector<S> shifted = x * S(1.4426950408889634) + magic;
  const Vector<S> n = shifted - magic;
  const Vector<S> r = (x - n * ln2_high) - n * ln2_low;
  Vector<S> q;
  // q = (expm1(r) - r) / r² as a minimax polynomial, relative errors 2e-9 (float) and 1.5e-18 (double).
  if constexpr (single) {
    q = broadcast<S>(S(1.98911801583e-04));
    q = q * r + S(1.39338204898e-03);
    q = q * r + S(8.33331075458e-03);
    q = q * r + S(4.16664633863e-02);
    q = q * r + S(1.66666666818e-01);
    q = q * r + S(5.00000001362e-01);
  } else {
    q = broadcast<S>(S(2.09148313513804106e-9));
    q = q * r + S(2.51054191920163364e-8);
    q = q * r + S(2.75572732955397243e-7);
    q = q * r + S(2.7557254913486702e-6);
    q = q * r + S(0.0000248015873258222821);
    q = q * r + S(0.000198412698752050768);
    q = q * r + S(0.00138888888888836696);
    q = q * r + S(0.00833333333332602495);
    q = q * r + S(0.0416666666666666698);
    q = q * r + S(0.166666666666666711);
    q = q * r + S(0.5);
  }
  typedef Integer<S> Bits __attribute__((vector_size(TT_VECTOR_BYTES)));
  Bits bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  constexpr Integer<S> bias = single ? 127 : 1023, digits = single ? 23 : 52;
  bits = (bits + bias) << digits;
  Exponential<S> result;
  std::memcpy(&result.power, &bits, sizeof bits);
  result.m = r * r * q + r;
  return result;
}

// tanh|x| = (E - 1) / (E + 1) near zero, else 1 - 2 / (E + 1), with E = exp(2|x|). Error below 2.5 ulp.
template <class S> inline Vector<S> tanh(Vector<S> x) {
  constexpr S bound = sizeof(S) == 4 ? 20 : 44;  // beyond the bound tanh rounds to ±1
  const Vector<S> zero{};
  const Exponential<S> e = exponential<S>(clamp<S>(x < zero ? -(x + x) : x + x, bound));
  const Vector<S> expm1 = e.power * e.m + (e.power - S(1));
  const auto small = expm1 < broadcast<S>(S(1.5));
  const Vector<S> quotient = (small ? expm1 : broadcast<S>(S(2))) / (expm1 + S(2));
  const Vector<S> y = small ? quotient : S(1) - quotient;
  return x < zero ? -y : y;
}

// logistic(x) = 1 / (1 + exp(-x)). Error below 2.5 ulp.
template <class S> inline Vector<S> logistic(Vector<S> x) {
  constexpr S bound = sizeof(S) == 4 ? 87 : 708;
  const Exponential<S> e = exponential<S>(clamp<S>(-x, bound));
  const Vector<S> y = S(1) / (e.power * e.m + (e.power + S(1)));
  return x < broadcast<S>(-bound) ? Vector<S>{} : y;  // exp(-x) would overflow, and the quotient rounds to 0
}

}  // namespace TT_ISA
