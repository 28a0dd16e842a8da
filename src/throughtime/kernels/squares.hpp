// 2-norms of rows, from sums of squares that neither overflow nor underflow.
#pragma once

#include <limits>

#include "product.hpp"

namespace TT_ISA {

// Sums of squares of one row: kSums vectors of double, whose lanes are added last. Squares of floats fit into double.
// Doubles are summed three times: plain, scaled down and scaled up. If the plain sum leaves the range, one of the
// scaled sums is in it.
template <class S> struct Squares {
  static constexpr int kSums = sizeof(S) == 4 ? 1 : 3, kLane = kLanes<double>;
  static constexpr int64_t kSize = kSums * kLane;

  // Add the squares of x to the sums of a row.
  static void add(double* sums, const Vector<S>& x) {
    if constexpr (sizeof(S) == 4) {
      typedef S Half __attribute__((vector_size(TT_VECTOR_BYTES / 2)));
      Half halves[2];
      std::memcpy(halves, &x, sizeof x);
      const Vector<double> low = __builtin_convertvector(halves[0], Vector<double>);
      const Vector<double> high = __builtin_convertvector(halves[1], Vector<double>);
      store<double>(sums, load<double>(sums) + low * low + high * high);
    } else {
      const Vector<double> down = x * kDown, up = x * kUp;
      store<double>(sums, load<double>(sums) + x * x);
      store<double>(sums + kLane, load<double>(sums + kLane) + down * down);
      store<double>(sums + 2 * kLane, load<double>(sums + 2 * kLane) + up * up);
    }
  }

  // Compute the norms of kLane rows, whose sums lie `pitch` doubles apart. Each row's sums have `parts` addends,
  // `stride` doubles apart. The norm of finite entries is finite: the largest double in place of a larger norm.
  static Vector<double> norms(const double* sums, int64_t pitch, int64_t parts, int64_t stride) {
    const auto sum = [&](int k) { return over_lanes<kLane>(sums + k * kLane, pitch, parts, stride); };
    const Vector<double> plain = sum(0);
    if constexpr (sizeof(S) == 4) return root(plain);
    const Vector<double> down = root(sum(kSums / 2)), most = broadcast(std::numeric_limits<double>::max());
    const Vector<double> unbounded = down * kUp, small = root(sum(kSums - 1)) * kDown;
    const Vector<double> large = ((unbounded > most) & (down <= most)) ? most : unbounded;
    const Vector<double> within = plain > broadcast<double>(0x1p-900) ? root(plain) : small;
    return plain < broadcast<double>(0x1p900) ? within : large;  // a NaN compares false, and `large` is NaN too
  }

  // Round a norm to S: the largest S in place of a larger norm, so that an infinite norm tells of an infinite entry.
  static S rounded(double norm) {
    constexpr double most = std::numeric_limits<S>::max();
    return static_cast<S>(norm > most && norm <= std::numeric_limits<double>::max() ? most : norm);
  }

 private:
  static constexpr double kUp = 0x1p600, kDown = 0x1p-600;

  // Sum the lanes of each row: the result's lane r belongs to row r. A transposition by pairwise additions.
  template <int rows>
  static Vector<double> over_lanes(const double* sums, int64_t pitch, int64_t parts, int64_t stride) {
    if constexpr (rows == 1) {
      Vector<double> whole = load<double>(sums);
      for (int64_t part = 1; part < parts; ++part) whole += load<double>(sums + part * stride);
      return whole;
    } else {
      typedef std::int64_t Places __attribute__((vector_size(TT_VECTOR_BYTES)));
      Places even, odd;
      for (int lane = 0; lane < kLane; ++lane) even[lane] = 2 * lane, odd[lane] = 2 * lane + 1;
      const Vector<double> first = over_lanes<rows / 2>(sums, pitch, parts, stride);
      const Vector<double> second = over_lanes<rows / 2>(sums + rows / 2 * pitch, pitch, parts, stride);
      return __builtin_shuffle(first, second, even) + __builtin_shuffle(first, second, odd);
    }
  }

  static Vector<double> root(Vector<double> x) {
    for (int lane = 0; lane < kLane; ++lane) x[lane] = __builtin_sqrt(x[lane]);
    return x;
  }
};

}  // namespace TT_ISA
