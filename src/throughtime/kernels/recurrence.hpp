// Parts shared by both passes: the order and the addresses of the rows, the states, and the affine maps with the cell.
//
// A step multiplies the rows' states by the packed recurrent weights, and applies the cell's pointwise part to each
// tile of the product while it is in the L1 cache. Threads split the rows and then need no barrier; with few rows or
// large weights they split the hidden units, with a barrier after each step. Work without a recurrence in time
// (products with W_ih, gradients of the weights) is done for a chunk of steps at once, small enough for the caches.
#pragma once

#include "cell.hpp"

namespace TT_ISA {

// Order and addresses of the rows' steps. Row b is the b-th longest row; step t is the t-th step that the recurrence
// takes, which with `reverse` is not the t-th in time.
class Steps {
 public:
  const int64_t count, batch;

  explicit Steps(const tt_problem& p)
      : count(p.steps),
        batch(p.batch),
        p_(p),
        alive_(p.lengths ? count : 0),
        place_(p.lengths ? batch : 0),
        offsets_(p.packed ? count + 1 : 0) {
    if (p.lengths) sort_rows();
    if (p.packed) offsets_[0] = 0;
    for (int64_t t = 0; p.packed && t < count; ++t) offsets_[t + 1] = offsets_[t] + alive_[t];
  }

  // Number of rows with a step t: these are the rows b < alive(t).
  int64_t alive(int64_t t) const { return t >= count ? 0 : p_.lengths ? alive_[t] : batch; }
  int64_t length(int64_t b) const { return p_.lengths ? p_.lengths[place(b)] : count; }
  // Index of row b in the states [B, …].
  int64_t place(int64_t b) const { return p_.lengths ? place_[b] : b; }
  int64_t time(int64_t t, int64_t b) const { return p_.reverse ? length(b) - 1 - t : t; }
  // Index of a step in arrays [N, …].
  int64_t row(int64_t t, int64_t b) const {
    return p_.packed ? offsets_[time(t, b)] + b : time(t, b) * batch + place(b);
  }
  // Offset of a step in x or d_h, which have strides.
  int64_t strided(int64_t t, int64_t b, int64_t step_stride, int64_t row_stride) const {
    return p_.packed ? row(t, b) * row_stride : time(t, b) * step_stride + place(b) * row_stride;
  }
  int64_t rows() const { return p_.packed ? offsets_[count] : count * batch; }

  // Whether the state is reset before step t. With `reverse` the reset before a step in time lies after the step that
  // the recurrence takes first.
  bool starts_anew(int64_t t, int64_t b) const {
    if (!p_.resets) return false;
    return p_.reverse ? t > 0 && p_.resets[row(t - 1, b)] : p_.resets[row(t, b)];
  }

 private:
  const tt_problem& p_;
  Scratch<int64_t> alive_, place_, offsets_;

  // Counting sort by length, stable.
  void sort_rows() {
    const Scratch<int64_t> next(count + 1);  // next[length]: rank of the next row of that length
    for (int64_t length = 0; length <= count; ++length) next[length] = 0;
    for (int64_t b = 0; b < batch; ++b) ++next[p_.lengths[b]];
    for (int64_t length = count, longer = 0; length >= 0; --length) {
      if (length < count) alive_[length] = longer;
      const int64_t equal = next[length];
      next[length] = longer;
      longer += equal;
    }
    for (int64_t b = 0; b < batch; ++b) place_[next[p_.lengths[b]]++] = b;
  }
};

// Rows of one member of a team. The rows, sorted by length, are dealt in rounds whose direction alternates, so that the
// members' total lengths differ little.
struct Share {
  int64_t member, members;

  // Number of this member's rows among the first `rows`, and the index of its i-th row.
  int64_t of(int64_t rows) const { return rows / members + (turn(rows / members) < rows % members); }
  int64_t row(int64_t i) const { return i * members + turn(i); }

 private:
  int64_t turn(int64_t round) const { return round % 2 ? members - 1 - member : member; }
};

// Number of steps in a chunk of `rows` rows with `width` numbers per row and step, so that the chunk fits the L2 cache.
// `most` bounds rows times steps.
inline int64_t steps_at_once(int64_t rows, int64_t width, int64_t most) {
  const int64_t fit = 65536 / (width > 0 ? width : 1), wanted = fit < 48 ? 48 : fit < most ? fit : most;
  return rows < wanted ? wanted / (rows > 0 ? rows : 1) : 1;
}

// Address of vector `s` of the kept arrays gates [row][G][H] and extra [row][H].
template <int G, class S> S* kept_at(S* gates, S* extra, int64_t row, int64_t H, int s, int64_t unit) {
  return s < G ? gates + (row * G + s) * H + unit : extra + row * H + unit;
}

// Announce `count` elements of an output array (or NULL) before the computation, see tt_will_fill.
template <class S> void will_fill(void* array, int64_t count) { tt_will_fill(array, array ? count * sizeof(S) : 0); }

// Addresses of a row's state; c is NULL for a cell without c.
template <class S> struct StateAt {
  const S *h, *c;
};

// State of row b in the arrays h [B, P] and c [B, H].
template <class Cell, class S>
StateAt<S> of_row(const tt_problem& p, const Steps& steps, const void* h, const void* c, int64_t b) {
  const int64_t place = steps.place(b);
  return {static_cast<const S*>(h) + place * p.output,
          Cell::has_c ? static_cast<const S*>(c) + place * p.hidden : nullptr};
}

template <class Cell, class S> StateAt<S> initial(const tt_problem& p, const Steps& steps, int64_t b) {
  return of_row<Cell, S>(p, steps, p.initial_h, p.initial_c, b);
}

// State after step t of row b; c is NULL if not kept.
template <class Cell, class S> StateAt<S> after(const tt_problem& p, const Steps& steps, int64_t t, int64_t b) {
  const int64_t index = steps.row(t, b);
  return {static_cast<const S*>(p.h) + index * p.output, p.c ? static_cast<const S*>(p.c) + index * p.hidden : nullptr};
}

// State before step t of row b: that after step t - 1, the initial state, or the reset state.
template <class Cell, class S> StateAt<S> entering(const tt_problem& p, const Steps& steps, int64_t t, int64_t b) {
  if (steps.starts_anew(t, b)) return of_row<Cell, S>(p, steps, p.reset_h, p.reset_c, b);
  return t == 0 ? initial<Cell, S>(p, steps, b) : after<Cell, S>(p, steps, t - 1, b);
}

template <class S> const S* input_at(const tt_problem& p, const Steps& steps, int64_t t, int64_t b) {
  return static_cast<const S*>(p.x) + steps.strided(t, b, p.x_step, p.x_row);
}

// Affine maps a^x = W_ih x + b_ih and a^h = W_hh h + b_hh, and the cell's pointwise part. A tile has NU vectors of
// units, each with G gates; weights and biases are packed, so the caller's arrays are read by the constructor only.
template <class Cell, class S, int NU> class Maps {
 public:
  static constexpr int G = Cell::gates, NV = NU * G;
  static constexpr int64_t kTile = NV * kLanes<S>, kUnits = NU * kLanes<S>;

  Maps(const tt_problem& p, int64_t participants) : H_(p.hidden), one_hot_(p.index) {
    const int64_t tiles = (H_ + kUnits - 1) / kUnits;
    input_.reserve(tiles, p.input, kTile);
    recurrent_.reserve(tiles, p.output, kTile);
    bias_x_.resize(p.bias_ih ? tiles * kTile : 0);
    bias_h_.resize(p.bias_ih && Cell::biases_differ ? tiles * kTile : 0);
    const auto get = [](const void* array) { return static_cast<const S*>(array); };
    in_parts(tiles * kTile * (p.input + p.output) < kSmallCopy ? 1 : participants, tiles,
             [&](int64_t begin, int64_t end) {
      pack_transposed<NU>(input_, get(p.weight_ih), H_, G, begin, end);
      pack_transposed<NU>(recurrent_, get(p.weight_hh), H_, G, begin, end);
      if (p.bias_ih) pack_biases(get(p.bias_ih), get(p.bias_hh), begin, end);
    });
  }

  int64_t tiles() const { return recurrent_.tiles; }

  // Address of a step's input for `project`: in x, or for a one-hot input the packed column of W_ih, which is the
  // product.
  const S* input(const tt_problem& p, const Steps& steps, int64_t t, int64_t b) const {
    return p.index ? input_.tile(0) + p.index[steps.row(t, b)] * kTile : input_at<S>(p, steps, t, b);
  }

  // Compute a^x of `count` rows on the tiles [begin, end) into a_x [tile][pitch rows][kTile].
  void project(const S* const* x, int64_t count, int64_t begin, int64_t end, S* a_x, int64_t pitch) const {
    const auto put = [&](const S* product, int64_t row, int64_t tile) {
      S* to = a_x + ((tile - begin) * pitch + row) * kTile;
      for (int64_t at = 0; at < kTile; at += kLanes<S>) {
        const Vector<S> bias = bias_x_.data() ? load<S>(bias_x_.data() + tile * kTile + at) : Vector<S>{};
        store<S>(to + at, load<S>(product + at) + bias);
      }
    };
    if (one_hot_) {
      for (int64_t tile = begin; tile < end; ++tile)
        for (int64_t row = 0; row < count; ++row) put(x[row] + tile * input_.tile_size, row, tile);
      return;
    }
    for_each_tile<NV, S>(x, count, input_, begin, end, [&](int64_t from, int64_t n, int64_t tile, const S* product) {
      for (int64_t r = 0; r < n; ++r) put(product + r * kTile, from + r, tile);
    });
  }

  // Advance `count` rows by a step from the states `before` (h[i] is before[i].h), with a^x from `project`. Calls
  // put(i, unit, lane, h, c, kept) for each row i and vector of units; h precedes the projection, if any.
  template <class Put>
  void advance(const StateAt<S>* before, const S* const* h, int64_t count, int64_t begin, int64_t end, const S* a_x,
               int64_t pitch, Put&& put) const {
    for_each_tile<NV, S>(h, count, recurrent_, begin, end,
                         [&](int64_t from, int64_t n, int64_t tile, const S* product) {
      const S* of_x = a_x + ((tile - begin) * pitch + from) * kTile;
      for (int64_t v = 0; v < NU; ++v) {
        const int64_t unit = tile * kUnits + v * kLanes<S>, at = v * G * kLanes<S>;
        with_lane<S>(H_ - unit, [&](auto lane) {
          for (int64_t r = 0; r < n; ++r)
            update(before[from + r], unit, lane, of_x + r * kTile + at, product + r * kTile + at, tile * kTile + at,
                   [&](const Vector<S>& h_new, const Vector<S>& c, const Vector<S>* kept) {
              put(from + r, unit, lane, h_new, c, kept);
            });
        });
      }
    });
  }

 private:
  const int64_t H_;
  const bool one_hot_;
  Packed<S> input_, recurrent_;
  Scratch<S> bias_x_, bias_h_;

  // Pack the biases. A cell that reads only a^x + a^h has the sum of both in a^x.
  void pack_biases(const S* bias_ih, const S* bias_hh, int64_t begin, int64_t end) {
    for (int64_t i = begin * kTile; i < end * kTile; ++i) {
      const int64_t vector = i / kLanes<S>, gate = vector % G;
      const int64_t unit = vector / G * kLanes<S> + i % kLanes<S>, at = gate * H_ + unit;
      const S x = unit < H_ ? bias_ih[at] : S(0), h = unit < H_ ? bias_hh[at] : S(0);
      bias_x_[i] = Cell::biases_differ ? x : x + h;
      if (Cell::biases_differ) bias_h_[i] = h;
    }
  }

  template <class Access, class Put>
  void update(const StateAt<S>& before, int64_t unit, Access lane, const S* of_x, const S* of_h, int64_t bias,
              Put&& put) const {
    Vector<S> a_x[G], a_h[G], kept[Cell::kept + 1], h, c{};
    for (int g = 0; g < G; ++g) {
      a_x[g] = load<S>(of_x + g * kLanes<S>);
      a_h[g] = load<S>(of_h + g * kLanes<S>);
      if (Cell::biases_differ && bias_h_.data()) a_h[g] += load<S>(bias_h_.data() + bias + g * kLanes<S>);
    }
    const Vector<S> h_before = Cell::uses_h ? lane.get(before.h + unit) : Vector<S>{};
    const Vector<S> c_before = Cell::has_c ? lane.get(before.c + unit) : Vector<S>{};
    Cell::template forward<S>(a_x, a_h, h_before, c_before, h, c, kept);
    put(h, c, kept);
  }
};

}  // namespace TT_ISA
