// Gradients of the weights, Σ_n e_n ⊗ (x_n, h_n), [MR] (2) and (3), and of the biases, Σ_n e_n.
#pragma once

#include "product.hpp"

namespace TT_ISA {

// Columns [first, first + count) of the errors, which yield the rows [to, to + count) of ∂L/∂W_ih (of_part[0]), of
// ∂L/∂W_hh (of_part[1]), or of both.
struct Segment {
  int64_t first, count, to;
  bool of_part[2];
};

// Destination of the sums: ∂L/∂W_ih and ∂L/∂b_ih (part 0), ∂L/∂W_hh and ∂L/∂b_hh (part 1). A bias may be NULL.
template <class S> struct WeightGradients {
  S *weight[2], *bias[2];
  int64_t width[2];  // columns of the weights
};

// Accumulates the outer products, into memory that the caller owns.
template <class S> class OuterSums {
 public:
  explicit OuterSums(const WeightGradients<S>& into) : into_(into) {
    for (int part = 0; part < 2; ++part) tiles_[part] = (into.width[part] + kWidth - 1) / kWidth;
    const int64_t tiles = count() < kGroup ? count() : kGroup;
    right_.resize(tiles * kRows * kWidth);
    left_.resize(kRows * MR);
  }

  // Add left[n] ⊗ right[part][n] for n < rows: left[n] is an error, right[0][n] is x_n and right[1][n] is h_n. Of
  // `segments` only the share of `member` is computed. The first call overwrites the destination, even with no rows.
  void add(const S* const* left, const S* const* const right[2], int64_t rows, const Segment* segments, int count_of,
           int64_t member, int64_t members) {
    for (int64_t from = 0; from < rows || fresh_; from += kRows) {
      const int64_t valid = rows - from < kRows ? rows - from : kRows;
      for (int64_t group = 0; group == 0 || group < count(); group += kGroup) {
        const int64_t end = group + kGroup < count() ? group + kGroup : count();
        for (int64_t tile = group; tile < end; ++tile) pack_right(right, from, valid, tile, tile - group);
        for (int s = 0; s < count_of; ++s) add_segment(segments[s], left + from, valid, group, end, member, members);
      }
      fresh_ = false;
    }
  }

 private:
  static constexpr int NV = 2, MR = kRowsOfTile<NV>;
  static constexpr int64_t kRows = kDepth<NV>, kWidth = NV * kLanes<S>, kGroup = 16;

  const WeightGradients<S> into_;
  int64_t tiles_[2];
  Scratch<S> right_, left_;
  bool fresh_ = true;

  int64_t count() const { return tiles_[0] + tiles_[1]; }
  int part(int64_t tile) const { return tile >= tiles_[0]; }
  int64_t column(int64_t tile) const { return (tile - part(tile) * tiles_[0]) * kWidth; }
  bool narrow(int64_t tile) const { return into_.width[part(tile)] - column(tile) <= kLanes<S>; }

  void pack_right(const S* const* const right[2], int64_t from, int64_t rows, int64_t tile, int64_t slot) {
    const int64_t first = column(tile), width = narrow(tile) ? kLanes<S> : kWidth;
    const int64_t left = into_.width[part(tile)] - first, valid = left < width ? left : width;
    S* to = right_.data() + slot * kRows * kWidth;
    const S* const* row = right[part(tile)] + from;
    if (valid == kWidth)
      for (int64_t n = 0; n < rows; ++n, to += kWidth) std::memcpy(to, row[n] + first, kWidth * sizeof(S));
    else
      for (int64_t n = 0; n < rows; ++n, to += width) {
        copy_row(to, row[n] + first, valid);
        zero(to + valid, width - valid);
      }
  }

  void add_segment(const Segment& segment, const S* const* left, int64_t rows, int64_t group, int64_t end,
                   int64_t member, int64_t members) {
    const int64_t panels = (segment.count + MR - 1) / MR;
    for (int64_t panel = panels * member / members; panel < panels * (member + 1) / members; ++panel) {
      const int64_t first = panel * MR, valid = segment.count - first < MR ? segment.count - first : MR;
      pack_left(left, segment.first + first, rows, valid);
      if (group == 0) add_biases(segment, first, rows, valid);
      for (int64_t tile = group; tile < end; ++tile) {
        if (!segment.of_part[part(tile)]) continue;
        const S* weights = right_.data() + (tile - group) * kRows * kWidth;
        if (narrow(tile)) add_tile<1>(weights, tile, segment.to + first, rows, valid);
        else add_tile<NV>(weights, tile, segment.to + first, rows, valid);
      }
    }
  }

  void pack_left(const S* const* left, int64_t first, int64_t rows, int64_t valid) {
    S* to = left_.data();
    if (valid == MR)
      for (int64_t n = 0; n < rows; ++n, to += MR) std::memcpy(to, left[n] + first, MR * sizeof(S));
    else
      for (int64_t n = 0; n < rows; ++n, to += MR) {
        copy_row(to, left[n] + first, valid);
        zero(to + valid, MR - valid);
      }
  }

  void add_biases(const Segment& segment, int64_t first, int64_t rows, int64_t valid) {
    if (!into_.bias[0] && !into_.bias[1]) return;
    double sum[MR] = {};  // in float the rounding of a sum over all rows would be visible
    for (int64_t n = 0; n < rows; ++n)
      for (int r = 0; r < MR; ++r) sum[r] += left_[n * MR + r];
    for (int part = 0; part < 2; ++part)
      if (into_.bias[part] && segment.of_part[part])
        for (int64_t r = 0; r < valid; ++r) {
          S& to = into_.bias[part][segment.to + first + r];
          to = static_cast<S>(fresh_ ? sum[r] : static_cast<double>(to) + sum[r]);
        }
  }

  template <int Vectors> void add_tile(const S* weights, int64_t tile, int64_t row, int64_t rows, int64_t valid) {
    alignas(64) S product[MR * Vectors * kLanes<S>];
    multiply<MR, Vectors, false, S>(Panel<MR, S>{left_.data()}, weights, rows, product);
    const int64_t width = into_.width[part(tile)], first = column(tile);
    for (int64_t r = 0; r < valid; ++r)
      for (int v = 0; v < Vectors; ++v) {
        S* to = into_.weight[part(tile)] + (row + r) * width + first + v * kLanes<S>;
        with_lane<S>(width - first - v * kLanes<S>, [&](auto lane) {
          const Vector<S> sum = load<S>(product + (r * Vectors + v) * kLanes<S>);
          lane.put(to, fresh_ ? sum : lane.get(to) + sum);
        });
      }
  }
};

}  // namespace TT_ISA
