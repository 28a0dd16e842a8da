// What both passes share: which rows each step has and where they lie, and the affine maps with the pointwise part.
//
// A step is one product with the packed recurrent weights and the cell's pointwise part on what comes out, tile by tile.
// Rows of the batch are split among threads, which then need no barrier; where there are fewer rows than threads could
// use, the hidden units are split instead, with one barrier a step. What does not run in time (products with W_ih, the
// weights' gradients) is done for some steps at once, while what it reads and writes is in the caches.
#pragma once

#include "product.hpp"

namespace TT_ISA {

// The steps of the rows, in the order in which the recurrence takes them; row b is the b-th longest.
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

  // How many rows have a step t.
  int64_t alive(int64_t t) const { return t >= count ? 0 : p_.lengths ? alive_[t] : batch; }
  int64_t length(int64_t b) const { return p_.lengths ? p_.lengths[place(b)] : count; }
  // Its place in the states [B, …].
  int64_t place(int64_t b) const { return p_.lengths ? place_[b] : b; }
  int64_t time(int64_t t, int64_t b) const { return p_.reverse ? length(b) - 1 - t : t; }
  // Its place in arrays [N, …].
  int64_t row(int64_t t, int64_t b) const {
    return p_.packed ? offsets_[time(t, b)] + b : time(t, b) * batch + place(b);
  }
  // Its place in an array with strides of its own.
  int64_t strided(int64_t t, int64_t b, int64_t step_stride, int64_t row_stride) const {
    return p_.packed ? row(t, b) * row_stride : time(t, b) * step_stride + place(b) * row_stride;
  }
  int64_t rows() const { return p_.packed ? offsets_[count] : count * batch; }

  // Whether the state starts anew before step t. Backwards, the same boundary is met from its other side.
  bool starts_anew(int64_t t, int64_t b) const {
    if (!p_.resets) return false;
    return p_.reverse ? t > 0 && p_.resets[row(t - 1, b)] : p_.resets[row(t, b)];
  }

 private:
  const tt_problem& p_;
  Scratch<int64_t> alive_, place_, offsets_;

  // By counting; rows of one length stay as they are.
  void sort_rows() {
    const Scratch<int64_t> next(count + 1);  // by length: where the next row of that length goes
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

// The rows a member works on. They are dealt like cards, longest first and every other round in the reverse order: each
// member has long and short ones, and nobody has the longer one of every round.
struct Share {
  int64_t member, members;

  int64_t of(int64_t rows) const { return rows / members + (turn(rows / members) < rows % members); }
  int64_t row(int64_t i) const { return i * members + turn(i); }

 private:
  int64_t turn(int64_t round) const { return round % 2 ? members - 1 - member : member; }
};

// Steps that are taken together, of `rows` rows, when each row's step has `width` numbers: as many as stay in the cache.
inline int64_t steps_at_once(int64_t rows, int64_t width, int64_t most) {
  const int64_t fit = 65536 / (width > 0 ? width : 1), wanted = fit < 48 ? 48 : fit < most ? fit : most;
  return rows < wanted ? wanted / (rows > 0 ? rows : 1) : 1;
}

// Called before what the arrays are filled with is computed.
template <class S> void will_fill(void* array, int64_t count) { tt_will_fill(array, array ? count * sizeof(S) : 0); }

template <class S> struct StateAt {
  const S *h, *c;
};

// A row's entry in states [B, P] and [B, H].
template <class Cell, class S>
StateAt<S> of_row(const tt_problem& p, const Steps& steps, const void* h, const void* c, int64_t b) {
  const int64_t place = steps.place(b);
  return {static_cast<const S*>(h) + place * p.output,
          Cell::has_c ? static_cast<const S*>(c) + place * p.hidden : nullptr};
}

template <class Cell, class S> StateAt<S> initial(const tt_problem& p, const Steps& steps, int64_t b) {
  return of_row<Cell, S>(p, steps, p.initial_h, p.initial_c, b);
}

// The state that step t of row b left; its c is NULL where c is not kept.
template <class Cell, class S> StateAt<S> after(const tt_problem& p, const Steps& steps, int64_t t, int64_t b) {
  const int64_t index = steps.row(t, b);
  return {static_cast<const S*>(p.h) + index * p.output, p.c ? static_cast<const S*>(p.c) + index * p.hidden : nullptr};
}

// The state that enters step t of row b: what the step before left, or the initial state, or the one resets return to.
template <class Cell, class S> StateAt<S> entering(const tt_problem& p, const Steps& steps, int64_t t, int64_t b) {
  if (steps.starts_anew(t, b)) return of_row<Cell, S>(p, steps, p.reset_h, p.reset_c, b);
  return t == 0 ? initial<Cell, S>(p, steps, b) : after<Cell, S>(p, steps, t - 1, b);
}

template <class S> const S* input_at(const tt_problem& p, const Steps& steps, int64_t t, int64_t b) {
  return static_cast<const S*>(p.x) + steps.strided(t, b, p.x_step, p.x_row);
}

// a^x = W_ih x + b_ih and a^h = W_hh h + b_hh in tiles of NU vectors of units, G gates each, and what follows pointwise.
template <class Cell, class S, int NU> class Maps {
 public:
  static constexpr int G = Cell::gates, NV = NU * G;
  static constexpr int64_t kTile = NV * kLanes<S>, kUnits = NU * kLanes<S>;

  Maps(const tt_problem& p, int64_t participants) : H_(p.hidden), one_hot_(p.index) {
    const int64_t tiles = (H_ + kUnits - 1) / kUnits;
    input_.reserve(tiles, p.input, kTile);
    recurrent_.reserve(tiles, p.output, kTile);
    bias_x_.resize(p.bias_ih ? tiles * kTile : 0);
    bias_h_.resize(p.bias_ih && Cell::own_bias ? tiles * kTile : 0);
    const auto get = [](const void* array) { return static_cast<const S*>(array); };
    in_parts(tiles * kTile * (p.input + p.output) < kSmallCopy ? 1 : participants, tiles,
             [&](int64_t begin, int64_t end) {
      pack_transposed<NU>(input_, get(p.weight_ih), H_, G, begin, end);
      pack_transposed<NU>(recurrent_, get(p.weight_hh), H_, G, begin, end);
      if (p.bias_ih) pack_biases(get(p.bias_ih), get(p.bias_hh), begin, end);
    });
  }

  int64_t tiles() const { return recurrent_.tiles; }

  // Where `project` finds the input of a step: in x; the product of W_ih with a one-hot input is a column of it.
  const S* input(const tt_problem& p, const Steps& steps, int64_t t, int64_t b) const {
    return p.index ? input_.tile(0) + p.index[steps.row(t, b)] * kTile : input_at<S>(p, steps, t, b);
  }

  // a^x of many rows, on tiles [begin, end), to a_x [tile][pitch rows][kTile].
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

  // A step of the cell for rows whose states are `before`, h[i] being before[i].h, with a^x as `project` left it. Calls
  // put(i, unit, lane, h, c, kept) for each row and vector of units; h is what the pointwise part puts out.
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

  // A cell that only needs a^x + a^h has both biases in a^x.
  void pack_biases(const S* bias_ih, const S* bias_hh, int64_t begin, int64_t end) {
    for (int64_t i = begin * kTile; i < end * kTile; ++i) {
      const int64_t vector = i / kLanes<S>, gate = vector % G;
      const int64_t unit = vector / G * kLanes<S> + i % kLanes<S>, at = gate * H_ + unit;
      const S x = unit < H_ ? bias_ih[at] : S(0), h = unit < H_ ? bias_hh[at] : S(0);
      bias_x_[i] = Cell::own_bias ? x : x + h;
      if (Cell::own_bias) bias_h_[i] = h;
    }
  }

  template <class Access, class Put>
  void update(const StateAt<S>& before, int64_t unit, Access lane, const S* of_x, const S* of_h, int64_t bias,
              Put&& put) const {
    Vector<S> a_x[G], a_h[G], kept[Cell::kept + 1], h, c{};
    for (int g = 0; g < G; ++g) {
      a_x[g] = load<S>(of_x + g * kLanes<S>);
      a_h[g] = load<S>(of_h + g * kLanes<S>);
      if (Cell::own_bias && bias_h_.data()) a_h[g] += load<S>(bias_h_.data() + bias + g * kLanes<S>);
    }
    const Vector<S> h_before = Cell::uses_h ? lane.get(before.h + unit) : Vector<S>{};
    const Vector<S> c_before = Cell::has_c ? lane.get(before.c + unit) : Vector<S>{};
    Cell::template forward<S>(a_x, a_h, h_before, c_before, h, c, kept);
    put(h, c, kept);
  }
};

}  // namespace TT_ISA
