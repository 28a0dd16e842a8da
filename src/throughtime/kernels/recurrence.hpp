// A recurrence over the whole sequence, written once for every cell.
//
// A step is one product with the packed recurrent weights and the cell's pointwise part on what comes out, tile by tile.
// Rows of the batch are split among threads, which then need no barrier; where there are fewer rows than threads could
// use, the hidden units are split instead, with one barrier a step.
#pragma once

#include <cmath>

#include "threads.hpp"
#include "vector.hpp"

namespace TT_ISA {

// Accumulators of a tile; the other registers hold one row of weights and one broadcast value.
constexpr int kAccumulators = TT_VECTOR_BYTES == 64 ? 24 : 12;

template <int NV> constexpr int kRowsOfTile = kAccumulators / NV > 1 ? kAccumulators / NV : 1;

// The rows of each step, in the order of the sequence's arrays.
struct Steps {
  int64_t count, batch;
  const int64_t* offsets;

  int64_t row(int64_t t, int64_t b) const { return (offsets ? offsets[t] : t * batch) + b; }
  int64_t alive(int64_t t) const { return t >= count ? 0 : offsets ? offsets[t + 1] - offsets[t] : batch; }
};

// The rows a member works on: first, first + stride, …; dealt like cards, so that everybody has long and short ones.
struct Share {
  int64_t first, stride;

  int64_t of(int64_t rows) const { return rows > first ? (rows - first + stride - 1) / stride : 0; }
};

// A matrix [depth, outputs] as tiles of NV vectors of outputs, [tile][depth][NV], zero beyond the last output.
template <class S> struct Packed {
  Scratch<S> values;
  int64_t tiles = 0, tile_size = 0, depth = 0;

  const S* tile(int64_t index) const { return values.data() + index * tile_size; }
};

// out[r][v] = Σ_k rows[r][k] · weights[k][v], v < NV vectors. The product never leaves the registers until it is done.
template <int MR, int NV, class S>
__attribute__((noinline)) void multiply(const S* const* rows, const S* weights, int64_t depth, S* out) {
  Vector<S> sum[MR][NV];
#pragma GCC unroll 32
  for (int r = 0; r < MR; ++r)
#pragma GCC unroll 32
    for (int v = 0; v < NV; ++v) sum[r][v] = Vector<S>{};
  for (int64_t k = 0; k < depth; ++k) {
    Vector<S> weight[NV];
#pragma GCC unroll 32
    for (int v = 0; v < NV; ++v) weight[v] = load<S>(weights + (k * NV + v) * kLanes<S>);
#pragma GCC unroll 32
    for (int r = 0; r < MR; ++r) {
      const Vector<S> value = broadcast<S>(rows[r][k]);
#pragma GCC unroll 32
      for (int v = 0; v < NV; ++v) sum[r][v] += value * weight[v];
    }
  }
#pragma GCC unroll 32
  for (int r = 0; r < MR; ++r)
#pragma GCC unroll 32
    for (int v = 0; v < NV; ++v) store<S>(out + (r * NV + v) * kLanes<S>, sum[r][v]);
}

// The same for any number of rows up to MR.
template <int MR, int NV, class S>
void multiply_up_to(int64_t rows_there, const S* const* rows, const S* weights, int64_t depth, S* out) {
  if constexpr (MR > 1) {
    if (rows_there < MR) return multiply_up_to<MR - 1, NV, S>(rows_there, rows, weights, depth, out);
  }
  multiply<MR, NV, S>(rows, weights, depth, out);
}

// Calls visit(first row, rows, tile, product) for blocks of the rows and tiles [begin, end): the weights of a tile stay
// in the nearest cache while all rows pass by.
template <int NV, class S, class Visit>
void for_each_tile(const Scratch<const S*>& rows, int64_t count, const Packed<S>& packed, int64_t begin,
                   int64_t end, Visit&& visit) {
  constexpr int MR = kRowsOfTile<NV>;
  alignas(64) S product[MR * NV * kLanes<S>];
  const int64_t blocks = (count + MR - 1) / MR;
  for (int64_t tile = begin; tile < end; ++tile)
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t from = count * block / blocks, to = count * (block + 1) / blocks;
      multiply_up_to<MR, NV, S>(to - from, rows.data() + from, packed.tile(tile), packed.depth, product);
      visit(from, to - from, tile, product);
    }
}

// Access to one vector of units, of which the last may be only partly there.
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
};

template <class S, class Body> void with_lane(int64_t units_left, Body&& body) {
  if (units_left >= kLanes<S>) body(Lane<S, true>{kLanes<S>});
  else if (units_left > 0) body(Lane<S, false>{static_cast<int>(units_left)});
}

template <class S, class Body> void for_each_vector(int64_t begin, int64_t end, Body&& body) {
  for (int64_t unit = begin; unit < end; unit += kLanes<S>)
    with_lane<S>(end - unit, [&](auto lane) { body(unit, lane); });
}

template <class S> void copy_row(S* to, const S* from, int64_t count) {
  if (count) std::memcpy(to, from, count * sizeof(S));
}

template <class S> void zero(S* to, int64_t count) { std::memset(to, 0, count * sizeof(S)); }

// weight [outputs, depth] with its outputs in groups: vector u · groups + g of a tile is unit vector u of group g.
template <int NU, class S> void pack_transposed(Packed<S>& packed, const S* weight, int64_t units, int64_t groups,
                                                int64_t depth) {
  const int64_t lanes = kLanes<S>, width = NU * lanes, pitch = groups * width;
  packed.tiles = (units + width - 1) / width;
  packed.tile_size = depth * pitch;
  packed.depth = depth;
  packed.values.resize(packed.tiles * packed.tile_size);
  for (int64_t tile = 0; tile < packed.tiles; ++tile)
    for (int64_t u = 0; u < NU; ++u)
      for (int64_t g = 0; g < groups; ++g)
        for (int64_t lane = 0; lane < lanes; ++lane) {
          const int64_t unit = tile * width + u * lanes + lane;
          S* column = packed.values.data() + tile * packed.tile_size + (u * groups + g) * lanes + lane;
          const S* row = weight + (g * units + unit) * depth;
          for (int64_t k = 0; k < depth; ++k) column[k * pitch] = unit < units ? row[k] : S(0);
        }
}

// weight [depth, outputs] as it is.
template <int NU, class S> void pack(Packed<S>& packed, const S* weight, int64_t depth, int64_t outputs) {
  const int64_t width = NU * kLanes<S>;
  packed.tiles = (outputs + width - 1) / width;
  packed.tile_size = depth * width;
  packed.depth = depth;
  packed.values.resize(packed.tiles * packed.tile_size);
  for (int64_t tile = 0; tile < packed.tiles; ++tile)
    for (int64_t k = 0; k < depth; ++k) {
      S* to = packed.values.data() + tile * packed.tile_size + k * width;
      const int64_t left = outputs - tile * width, there = left < width ? left : width;
      copy_row(to, weight + k * outputs + tile * width, there);
      zero(to + there, width - there);
    }
}

}  // namespace TT_ISA
