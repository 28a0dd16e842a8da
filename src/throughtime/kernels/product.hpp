// Matrix products of many rows with packed weights. The register-tiled micro-kernel `multiply` takes most of the time.
#pragma once

#include <cstring>

#include "threads.hpp"
#include "vector.hpp"

namespace TT_ISA {

// Vector registers that accumulate a tile's sums. The others hold one row of weights and one broadcast value.
constexpr int kAccumulators = TT_VECTOR_BYTES == 64 ? 24 : 12;

// Rows MR of a tile with NV vectors per row.
template <int NV> constexpr int kRowsOfTile = kAccumulators / NV > 1 ? kAccumulators / NV : 1;

// Block of the depth k: a block of a tile's weights stays in the L1 cache for all rows. Blocked sums also round less
// than one long sum.
template <int NV> constexpr int64_t kDepth = NV <= 4 ? 512 / NV : 128;

// Access to a vector of units. If not `full`, only the first `count` lanes belong to units.
template <class S, bool full> struct Lane {
  int count;

  Vector<S> get(const S* from) const {
    if constexpr (full) return load<S>(from);
    return load<S>(from, count);
  }
  void put(S* to, Vector<S> v) const {
    if constexpr (full) store<S>(to, v);
    else store<S>(to, v, count);
  }
  // Zero the lanes beyond the last unit, where a product may have left NaN (infinity times the zero padding).
  Vector<S> only(Vector<S> v) const {
    if constexpr (full) return v;
    typedef Integer<S> Places __attribute__((vector_size(TT_VECTOR_BYTES)));
    Places places;
    for (int i = 0; i < kLanes<S>; ++i) places[i] = i;
    return places < count ? v : Vector<S>{};
  }
};

// Call body(lane) for a vector with `units_left` units; nothing for 0 or fewer.
template <class S, class Body> void with_lane(int64_t units_left, Body&& body) {
  if (units_left >= kLanes<S>) body(Lane<S, true>{kLanes<S>});
  else if (units_left > 0) body(Lane<S, false>{static_cast<int>(units_left)});
}

// Call body(first unit, lane) for each vector of the units [begin, end).
template <class S, class Body> void for_each_vector(int64_t begin, int64_t end, Body&& body) {
  for (int64_t unit = begin; unit < end; unit += kLanes<S>)
    with_lane<S>(end - unit, [&](auto lane) { body(unit, lane); });
}

template <class S> void copy_row(S* to, const S* from, int64_t count) {
  if (count) std::memcpy(to, from, count * sizeof(S));
}

template <class S> void zero(S* to, int64_t count) {
  if (count) std::memset(to, 0, count * sizeof(S));
}

// Left factor of a product: separate rows, with `from` as the first index k.
template <class S> struct RowPointers {
  const S* const* rows;
  int64_t from;

  S at(int r, int64_t k) const { return rows[r][from + k]; }
};

// Left factor of a product: MR rows interleaved, [k][MR].
template <int MR, class S> struct Panel {
  const S* values;

  S at(int r, int64_t k) const { return values[k * MR + r]; }
};

// Compute out[r][v] (+)= Σ_k left[r][k] · weights[k][v] for MR rows and NV vectors. All sums stay in registers.
template <int MR, int NV, bool add, class S, class Left>
__attribute__((noinline)) void multiply(const Left left, const S* weights, int64_t depth, S* out) {
  constexpr int U = MR * NV < 8 ? 2 : 1;  // few sums are each split in two, to hide the latency of the additions
  Vector<S> sum[U][MR][NV];
#pragma GCC unroll 2
  for (int u = 0; u < U; ++u)
#pragma GCC unroll 32
    for (int r = 0; r < MR; ++r)
#pragma GCC unroll 32
      for (int v = 0; v < NV; ++v) sum[u][r][v] = Vector<S>{};
  const auto accumulate = [&](int64_t k, int u) __attribute__((always_inline)) {
    Vector<S> weight[NV];
#pragma GCC unroll 32
    for (int v = 0; v < NV; ++v) weight[v] = load<S>(weights + (k * NV + v) * kLanes<S>);
#pragma GCC unroll 32
    for (int r = 0; r < MR; ++r) {
      const Vector<S> value = broadcast<S>(left.at(r, k));
#pragma GCC unroll 32
      for (int v = 0; v < NV; ++v) sum[u][r][v] += value * weight[v];
    }
  };
  int64_t k = 0;
  for (; U == 2 && k + 1 < depth; k += 2) {
    accumulate(k, 0);
    accumulate(k + 1, U - 1);
  }
  for (; k < depth; ++k) accumulate(k, 0);
#pragma GCC unroll 32
  for (int r = 0; r < MR; ++r)
#pragma GCC unroll 32
    for (int v = 0; v < NV; ++v) {
      S* to = out + (r * NV + v) * kLanes<S>;
      const Vector<S> total = U == 2 ? sum[0][r][v] + sum[U - 1][r][v] : sum[0][r][v];
      store<S>(to, add ? load<S>(to) + total : total);
    }
}

// Call `multiply` with the number of rows, 1 … MR, as its template argument.
template <int MR, int NV, bool add, class S>
void multiply_up_to(int64_t row_count, const RowPointers<S> left, const S* weights, int64_t depth, S* out) {
  if constexpr (MR > 1) {
    if (row_count < MR) return multiply_up_to<MR - 1, NV, add, S>(row_count, left, weights, depth, out);
  }
  multiply<MR, NV, add, S>(left, weights, depth, out);
}

// Matrix [depth, outputs] packed into tiles of NV vectors of outputs: [tile][depth][NV], zero beyond the last output.
template <class S> struct Packed {
  Scratch<S> values;
  int64_t tiles = 0, tile_size = 0, depth = 0;

  void reserve(int64_t new_tiles, int64_t new_depth, int64_t width) {
    tiles = new_tiles, depth = new_depth, tile_size = depth * width;
    values.resize(tiles * tile_size);
  }
  S* tile(int64_t index) const { return values.data() + index * tile_size; }
};

// Multiply `count` rows by the tiles [begin, end) of `packed`, and call visit(first row, rows, tile, product) for each
// block of rows and tile. `product` is [rows][NV vectors], on the stack; a tile's weights stay in the L1 cache for all
// rows.
template <int NV, class S, class Visit>
void for_each_tile(const S* const* rows, int64_t count, const Packed<S>& packed, int64_t begin, int64_t end,
                   Visit&& visit) {
  constexpr int64_t MR = kRowsOfTile<NV>, kSize = MR * NV * kLanes<S>, kBlocks = 8;
  alignas(64) S products[kBlocks * kSize];
  const int64_t blocks = (count + MR - 1) / MR;
  const auto edge = [&](int64_t block) { return count * block / blocks; };
  for (int64_t tile = begin; tile < end; ++tile)
    for (int64_t first = 0; first < blocks; first += kBlocks) {
      const int64_t last = first + kBlocks < blocks ? first + kBlocks : blocks;
      for (int64_t k = 0; k == 0 || k < packed.depth; k += kDepth<NV>) {
        const int64_t depth = packed.depth - k < kDepth<NV> ? packed.depth - k : kDepth<NV>;
        const S* weights = packed.tile(tile) + k * NV * kLanes<S>;
        for (int64_t block = first; block < last; ++block) {
          const int64_t from = edge(block), valid = edge(block + 1) - from;
          S* out = products + (block - first) * kSize;
          if (k) multiply_up_to<MR, NV, true, S>(valid, {rows + from, k}, weights, depth, out);
          else multiply_up_to<MR, NV, false, S>(valid, {rows + from, k}, weights, depth, out);
        }
      }
      for (int64_t block = first; block < last; ++block)
        visit(edge(block), edge(block + 1) - edge(block), tile, products + (block - first) * kSize);
    }
}

// Multiply as for_each_tile does, and call put(row, first output, lane, vector) for each row and vector of the
// `outputs`.
template <int NV, class S, class Put>
void for_each_product(const S* const* rows, int64_t count, const Packed<S>& packed, int64_t begin, int64_t end,
                      int64_t outputs, Put&& put) {
  for_each_tile<NV, S>(rows, count, packed, begin, end, [&](int64_t from, int64_t n, int64_t tile, const S* product) {
    for (int64_t v = 0; v < NV; ++v) {
      const int64_t output = (tile * NV + v) * kLanes<S>;
      with_lane<S>(outputs - output, [&](auto lane) {
        for (int64_t r = 0; r < n; ++r) put(from + r, output, lane, load<S>(product + (r * NV + v) * kLanes<S>));
      });
    }
  });
}

// Pack the tiles [begin, end) of a weight [groups · units, depth]. The groups (gates) are interleaved: vector
// u · groups + g of a tile holds unit vector u of group g.
template <int NU, class S>
void pack_transposed(const Packed<S>& packed, const S* weight, int64_t units, int64_t groups, int64_t begin,
                     int64_t end) {
  constexpr int64_t kStrip = 16;  // block of the depth whose destination stays in the L1 cache
  const int64_t lanes = kLanes<S>, pitch = groups * NU * lanes, depth = packed.depth;
  for (int64_t tile = begin; tile < end; ++tile)
    for (int64_t strip = 0; strip < depth; strip += kStrip) {
      const int64_t stop = strip + kStrip < depth ? strip + kStrip : depth;
      for (int64_t u = 0; u < NU; ++u)
        for (int64_t g = 0; g < groups; ++g)
          for (int64_t lane = 0; lane < lanes; ++lane) {
            const int64_t unit = (tile * NU + u) * lanes + lane;
            S* column = packed.tile(tile) + (u * groups + g) * lanes + lane;
            const S* row = weight + (g * units + unit) * depth;
            for (int64_t k = strip; k < stop; ++k) column[k * pitch] = unit < units ? row[k] : S(0);
          }
    }
}

// Pack the tiles [begin, end) of a weight [depth, outputs], with the last `turned` rows moved to the front.
template <int NU, class S>
void pack(const Packed<S>& packed, const S* weight, int64_t outputs, int64_t turned, int64_t begin, int64_t end) {
  const int64_t width = NU * kLanes<S>;
  for (int64_t tile = begin; tile < end; ++tile)
    for (int64_t k = 0; k < packed.depth; ++k) {
      S* to = packed.tile(tile) + k * width;
      const S* from = weight + (k < turned ? packed.depth - turned + k : k - turned) * outputs + tile * width;
      const int64_t left = outputs - tile * width, valid = left < width ? left : width;
      copy_row(to, from, valid);
      zero(to + valid, width - valid);
    }
}

}  // namespace TT_ISA
