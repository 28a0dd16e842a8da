// Backward pass of a recurrence: G_t = g_t + J_{t+1}ᵀ G_{t+1}, [MR] (8), and the gradients that follow from all G_t.
#pragma once

#include <cmath>
#include <limits>

#include "outer.hpp"
#include "recurrence.hpp"
#include "squares.hpp"

namespace TT_ISA {

template <class Cell, class S, int NU> class Backward {
 public:
  Backward(const tt_backward_arguments& arguments, const Plan& plan)
      : a_(arguments),
        p_(arguments.problem),
        steps_(p_),
        H(p_.hidden),
        P(p_.output),
        total_first_(p_.weight_hr || a_.clip > 0),
        norms_inline_(a_.norm_h && !total_first_),
        recompute_(Cell::kept > 0 && !p_.gates),
        sums_per_member_(!plan.by_units && (plan.participants == 1 || sums() * sizeof(S) <= kSmallSums)),
        maps_(recompute_ ? p_ : tt_problem{}, plan.participants),
        errors_(steps_.rows() * E * H),
        no_error_(G * H),
        extra_(recompute_ && p_.weight_hr ? steps_.rows() * H : 0),
        totals_(p_.weight_hr ? steps_.rows() * P : 0),
        carried_h_(Cell::has_direct ? steps_.batch * P : 0),
        carried_c_(Cell::has_c ? steps_.batch * H : 0),
        squares_rows_(norms_inline_ ? (plan.rows + kFewRows) / kFewRows * kFewRows : 0),
        squares_(plan.participants * squares_of_member()),
        member_sums_(sums_per_member_ ? (plan.participants - 1) * sums() : 0) {
    pack_weights(plan.participants);
    clear();
    run_plan(plan, recurrent_.tiles,
             [&](int64_t member, int64_t members, int64_t begin, int64_t end, Barrier* barrier) {
      const Range range{member, members, begin, end, plan.by_units};
      run(range, plan.by_units ? Share{0, 1} : Share{member, members}, barrier);
    });
    if (sums_per_member_) join_sums(plan.participants);
    else sum_over_all(plan.participants);
    if (p_.weight_hr) sum_projection();
    if (p_.index) sum_one_hot(plan.participants);
  }

 private:
  static constexpr int G = Cell::gates, E = Cell::errors;
  static constexpr int kWide = 2;  // vectors per tile of the inputs
  static constexpr int NF = Cell::many;
  static constexpr int64_t kFewRows = 32;          // rows whose norms are computed at once
  static constexpr uint64_t kSmallSums = 1 << 18;  // bytes of gradients that each thread may sum separately
  using M = Maps<Cell, S, NF>;

  static const S* get(const void* p) { return static_cast<const S*>(p); }
  static S* put(void* p) { return static_cast<S*>(p); }
  static S* at(const Scratch<S>& array, int64_t index) { return array.data() ? array.data() + index : nullptr; }

  // Work of a member of the team: the tiles [begin, end) of the units, all of them unless `by_units`.
  struct Range {
    int64_t member, members, begin, end;
    bool by_units;
  };

  // Source and destination addresses of a row's step.
  struct Row {
    int64_t index, b;
    bool last;  // last step of the row: G_t starts from dL/d(final state)
    bool
        next_is_reset;  // the state is reset between t and t + 1: the derivative of step t + 1 goes to reset_h, reset_c
    const S* error;     // dL/da^h of step t + 1
    const S* d_h;       // dL/dh_t through the output
    StateAt<S> before;
    const S *gates, *extra;
    S* total;                     // dL/dh_t [P], if total_first_
    double *squares, *squares_c;  // sums of squares of dL/dh_t and dL/dc_t, if norms_inline_
  };

  // Addresses of the entries of a chunk of steps, in the order of the steps, then of the rows.
  struct Chunk {
    explicit Chunk(int64_t most, int64_t inputs) : x(inputs), before(most), h(most), error(most), index(most) {}

    Scratch<const S*> x;
    Scratch<StateAt<S>> before;
    Scratch<const S*> h, error;
    Scratch<int64_t> index;
    int64_t count = 0;
  };

  // Entries whose squares are summed but whose norms are not yet written.
  struct Noted {
    double* squares;
    Scratch<int64_t> index;
    int64_t count = 0;
  };

  const tt_backward_arguments& a_;
  const tt_problem& p_;
  const Steps steps_;
  const int64_t H, P;
  const bool total_first_;   // all units of dL/dh_t are needed before the pointwise part: for clipping or a projection
  const bool norms_inline_;  // norms are requested, and the squares are summed within the pointwise part
  const bool recompute_;     // the gates were not kept: compute them from the states
  const bool sums_per_member_;  // each member sums the gradients of its rows, while their errors are in the cache
  const M maps_;
  Packed<S> recurrent_, input_, projection_;
  Scratch<S> errors_;     // [N, E * H]
  Scratch<S> no_error_;   // [G * H] zeros: the error of the step after a row's last
  Scratch<S> extra_;      // [N, H] recomputed u_t, for the projection's gradient
  Scratch<S> totals_;     // [N, P] dL/dh_t, for the projection's gradient
  Scratch<S> carried_h_;  // [B, P] part of dL/dh_t from step t + 1 that does not pass through W_hh
  Scratch<S> carried_c_;  // [B, H] dL/dc_t
  const int64_t squares_rows_;
  Scratch<double> squares_;  // [member][h, c][squares_rows_][Squares<S>::kSize]
  Scratch<S> member_sums_;   // sums of all members but the first

  int64_t sums() const { return G * H * (p_.input + P + 2); }
  int64_t squares_of_member() const { return (1 + Cell::has_c) * squares_rows_ * Squares<S>::kSize; }

  void pack_weights(int64_t participants) {
    const int64_t depth = G * H, width = NU * kLanes<S>, wide = kWide * kLanes<S>;
    recurrent_.reserve((P + width - 1) / width, depth, width);
    in_parts(depth * P < kSmallCopy ? 1 : participants, recurrent_.tiles,
             [&](int64_t begin, int64_t end) { pack<NU>(recurrent_, get(p_.weight_hh), P, 0, begin, end); });
    if (p_.weight_hr) {
      projection_.reserve((H + width - 1) / width, P, width);
      pack<NU>(projection_, get(p_.weight_hr), H, 0, 0, projection_.tiles);
    }
    if (!a_.d_x) return;
    input_.reserve((p_.input + wide - 1) / wide, depth, wide);
    in_parts(depth * p_.input < kSmallCopy ? 1 : participants, input_.tiles, [&](int64_t begin, int64_t end) {
      pack<kWide>(input_, get(p_.weight_ih), p_.input, Cell::turned_gates * H, begin, end);
    });
  }

  void clear() {
    will_fill<S>(a_.d_x, steps_.rows() * p_.input);
    will_fill<S>(a_.d_weight_ih, G * H * p_.input);
    will_fill<S>(a_.d_weight_hh, G * H * P);
    zero(no_error_.data(), G * H);
    if (Cell::has_c)
      for (int64_t b = 0; b < steps_.batch; ++b)
        copy_row(carried_c_.data() + b * H, get(a_.d_final_c) + steps_.place(b) * H, H);
    if (a_.d_reset_h) zero(put(a_.d_reset_h), steps_.batch * P);
    if (a_.d_reset_c) zero(put(a_.d_reset_c), steps_.batch * H);
  }

  void run(const Range& range, Share share, Barrier* barrier) {
    const int64_t most = share.of(steps_.batch), together = steps_at_once(most, G * H, kDepth<2>);
    const Scratch<Row> rows(most);
    const Scratch<const S*> errors(most);
    const Scratch<S> totals(total_first_ && !p_.weight_hr ? most * P : 0);
    const Scratch<S> gates(recompute_ ? together * most * G * H : 0),
        extra(recompute_ && Cell::kept > G ? together * most * H : 0);
    const Scratch<S> a_x(recompute_ ? together * most * maps_.tiles() * M::kTile : 0);
    Chunk chunk(together * most, together * most);
    Noted noted{squares_.data() + range.member * squares_of_member(), Scratch<int64_t>(squares_rows_)};
    if (norms_inline_) zero(noted.squares, squares_of_member());
    OuterSums<S> sums(sums_per_member_ ? sums_of(range.member) : WeightGradients<S>{});
    for (int64_t stop = steps_.count; stop > 0; stop -= together) {
      const int64_t first = stop > together ? stop - together : 0;
      collect(chunk, share, first, stop);
      if (recompute_) compute_gates(range, chunk, a_x, gates.data(), extra.data());
      int64_t left = chunk.count;
      for (int64_t t = stop - 1; t >= first; --t) {
        const int64_t count = share.of(steps_.alive(t));
        left -= count;
        if (norms_inline_ && noted.count + count > squares_rows_) put_norms(noted, range, barrier);
        step(t, range, share, rows, errors, totals,
             norms_inline_ ? noted.squares + noted.count * Squares<S>::kSize : nullptr, at(gates, left * G * H),
             at(extra, left * H));
        for (int64_t i = 0; i < (norms_inline_ ? count : 0); ++i) noted.index[noted.count++] = rows[i].index;
        if (barrier) barrier->wait();
      }
      if (a_.d_x) through_inputs(range, chunk);
      if (sums_per_member_) add_sums(sums, chunk.error.data(), chunk.x.data(), chunk.h.data(), chunk.count, 0, 1);
    }
    if (norms_inline_) put_norms(noted, range, barrier);
    if (sums_per_member_ && steps_.count == 0) add_sums(sums, nullptr, nullptr, nullptr, 0, 0, 1);
    step(-1, range, share, rows, errors, totals, nullptr, nullptr, nullptr);
  }

  void collect(Chunk& chunk, Share share, int64_t first, int64_t stop) const {
    chunk.count = 0;
    for (int64_t t = first; t < stop; ++t)
      for (int64_t i = 0, count = share.of(steps_.alive(t)); i < count; ++i) {
        const int64_t b = share.row(i), n = chunk.count++;
        chunk.index[n] = steps_.row(t, b);
        chunk.before[n] = entering<Cell, S>(p_, steps_, t, b);
        chunk.h[n] = chunk.before[n].h;
        chunk.x[n] = recompute_ ? maps_.input(p_, steps_, t, b) : p_.index ? nullptr : input_at<S>(p_, steps_, t, b);
        chunk.error[n] = errors_.data() + chunk.index[n] * E * H;
      }
  }

  // Recompute the kept arrays of a chunk from the states.
  void compute_gates(const Range& range, const Chunk& chunk, const Scratch<S>& a_x, S* gates, S* extra) {
    static_assert(NU % NF == 0, "a member's units are whole tiles of both products");
    const int64_t most = maps_.tiles(), begin = range.by_units ? range.begin * (NU / NF) : 0;
    const int64_t end = range.by_units && range.end * (NU / NF) < most ? range.end * (NU / NF) : most;
    maps_.project(chunk.x.data(), chunk.count, begin, end, a_x.data(), chunk.count);
    maps_.advance(chunk.before.data(), chunk.h.data(), chunk.count, begin, end, a_x.data(), chunk.count,
                  [&](int64_t i, int64_t unit, auto lane, const Vector<S>& h, const Vector<S>&, const Vector<S>* kept) {
      for (int s = 0; s < Cell::kept; ++s) lane.put(kept_at<G>(gates, extra, i, H, s, unit), kept[s]);
      if (p_.weight_hr) lane.put(extra_.data() + chunk.index[i] * H + unit, h);
    });
  }

  Row row(int64_t t, int64_t b, S* total, double* squares, const S* gates, const S* extra) const {
    double* squares_c = squares && Cell::has_c ? squares + squares_rows_ * Squares<S>::kSize : nullptr;
    Row row{0,       b,        b >= steps_.alive(t + 1), false, no_error_.data(), nullptr, {}, gates, extra, total,
            squares, squares_c};
    if (!row.last) {
      row.error = errors_.data() + steps_.row(t + 1, b) * E * H + Cell::recurrent_error * H;
      row.next_is_reset = steps_.starts_anew(t + 1, b);
    }
    if (t < 0) return row;
    row.index = steps_.row(t, b);
    row.d_h = get(a_.d_h) + steps_.strided(t, b, a_.d_h_step, a_.d_h_row);
    if (p_.weight_hr) row.total = totals_.data() + row.index * P;
    row.before = entering<Cell, S>(p_, steps_, t, b);
    if (!recompute_ && Cell::kept) {
      row.gates = get(p_.gates) + row.index * G * H;
      if (Cell::kept > G) row.extra = get(p_.extra) + row.index * H;
    }
    return row;
  }

  void step(int64_t t, const Range& range, Share share, const Scratch<Row>& rows, const Scratch<const S*>& errors,
            const Scratch<S>& totals, double* squares, const S* gates, const S* extra) {
    const int64_t count = share.of(t < 0 ? steps_.batch : steps_.alive(t));
    for (int64_t i = 0; i < count; ++i) {
      rows[i] = row(t, share.row(i), at(totals, i * P), squares ? squares + i * Squares<S>::kSize : nullptr,
                    gates ? gates + i * G * H : nullptr, extra ? extra + i * H : nullptr);
      errors[i] = rows[i].error;
    }
    for_each_product<NU, S>(
        errors.data(), count, recurrent_, range.begin, range.end, P,
        [&](int64_t i, int64_t unit, auto lane, const Vector<S>& d_h) { arrived(t, rows[i], unit, lane, d_h); });
    if (t < 0) return initial_c(rows, count, range.begin * NU * kLanes<S>, range.end * NU * kLanes<S>);
    if (!total_first_) return;
    for (int64_t i = 0; i < count; ++i) hold(rows[i]);
    if (p_.weight_hr) return through_projection(rows, count);
    for (int64_t i = 0; i < count; ++i)
      for_each_vector<S>(0, H,
                         [&](int64_t unit, auto lane) { point(rows[i], unit, lane, lane.get(rows[i].total + unit)); });
  }

  // Complete a vector of units of G_t, given its product with W_hhᵀ; then take the pointwise part, unless total_first_.
  template <class Access> void arrived(int64_t t, const Row& row, int64_t unit, Access lane, Vector<S> d_h) {
    const int64_t at = steps_.place(row.b) * P + unit;
    if (row.last) d_h = lane.get(get(a_.d_final_h) + at);  // not +=: the zero error times an infinite weight is NaN
    else if (Cell::has_direct) d_h += lane.get(carried_h_.data() + row.b * P + unit);
    if (row.next_is_reset) {
      S* to = put(a_.d_reset_h) + at;
      lane.put(to, lane.get(to) + d_h);
      d_h = Vector<S>{};
    }
    if (t < 0) return lane.put(put(a_.d_initial_h) + at, d_h);
    d_h += lane.get(row.d_h + unit);
    if (total_first_) return lane.put(row.total + unit, d_h);
    if (row.squares) Squares<S>::add(row.squares, lane.only(d_h));
    point(row, unit, lane, d_h);
  }

  // dL/dc_t of a vector of units; after a reset it goes to the reset state.
  template <class Access> Vector<S> arriving_c(const Row& row, int64_t unit, Access lane) {
    Vector<S> d_c = lane.get(carried_c_.data() + row.b * H + unit);
    if (row.next_is_reset) {
      S* to = put(a_.d_reset_c) + steps_.place(row.b) * H + unit;
      lane.put(to, lane.get(to) + d_c);
      d_c = Vector<S>{};
    }
    return d_c;
  }

  void initial_c(const Scratch<Row>& rows, int64_t count, int64_t begin, int64_t end) {
    if (!Cell::has_c) return;
    if (p_.weight_hr || end > H) end = H;  // with a projection the tiles count P, and a single member has all
    for (int64_t i = 0; i < count; ++i)
      for_each_vector<S>(begin, end, [&](int64_t unit, auto lane) {
        lane.put(put(a_.d_initial_c) + steps_.place(rows[i].b) * H + unit, arriving_c(rows[i], unit, lane));
      });
  }

  // Write the norms of the noted entries. With split units each member has squares of all rows, and writes some rows.
  void put_norms(Noted& noted, const Range& range, Barrier* barrier) const {
    const int64_t lanes = kLanes<double>, pitch = Squares<S>::kSize, stride = squares_of_member();
    const int64_t blocks = (noted.count + lanes - 1) / lanes, parts = range.by_units ? range.members : 1;
    const int64_t begin = range.by_units ? blocks * range.member / parts : 0;
    const int64_t end = range.by_units ? blocks * (range.member + 1) / parts : blocks;
    const double* squares = range.by_units ? squares_.data() : noted.squares;
    void* const members_of_state[] = {a_.norm_h, a_.norm_c};
    for (void* to : members_of_state) {
      for (int64_t first = begin * lanes; to && first < end * lanes; first += lanes) {
        const Vector<double> norms = Squares<S>::norms(squares + first * pitch, pitch, parts, stride);
        for (int64_t i = 0; i < lanes && first + i < noted.count; ++i)
          put(to)[noted.index[first + i]] = Squares<S>::rounded(norms[i]);
      }
      squares += squares_rows_ * pitch;
    }
    if (barrier) barrier->wait();  // all members have read the squares
    for (int member = 0; member < 1 + Cell::has_c; ++member)
      zero(noted.squares + member * squares_rows_ * pitch, noted.count * pitch);
    noted.count = 0;
  }

  // Record the norms of a row's dL/d(h_t, c_t), and scale it down to the threshold `clip`. A row that is not finite stays
  // as it is.
  void hold(const Row& row) {
    S* d_c = Cell::has_c ? carried_c_.data() + row.b * H : nullptr;
    if (Cell::has_c)
      for_each_vector<S>(0, H, [&](int64_t unit, auto lane) { lane.put(d_c + unit, arriving_c(row, unit, lane)); });
    if (!a_.norm_h && !(a_.clip > 0)) return;
    const S of_h = norm(row.total, P), of_c = Cell::has_c ? norm(d_c, H) : S(0);
    if (a_.norm_h) put(a_.norm_h)[row.index] = of_h;
    if (a_.norm_c && Cell::has_c) put(a_.norm_c)[row.index] = of_c;
    if (!(a_.clip > 0) || !std::isfinite(of_h) || !std::isfinite(of_c)) return;
    const S together = std::hypot(of_h, of_c), limit = static_cast<S>(a_.clip), scale = limit / together;
    if (together < std::numeric_limits<S>::max() && together <= limit) return;
    // Outside of the range of S, where the norm would be infinite or the factor no normal number, in units of an entry.
    const bool in_range = together < std::numeric_limits<S>::max() && scale >= std::numeric_limits<S>::min();
    if (!in_range) return hold_in_units(row.total, d_c, a_.clip);
    for (int64_t i = 0; i < P; ++i) row.total[i] *= scale;
    for (int64_t i = 0; i < (Cell::has_c ? H : 0); ++i) d_c[i] *= scale;
  }

  // Scale a row of finite numbers down to the norm `limit`, in units of its largest entry.
  void hold_in_units(S* d_h, S* d_c, double limit) {
    double peak = 0, sum = 0;
    const auto each = [&](auto visit) {
      for (int64_t i = 0; i < P; ++i) visit(d_h[i]);
      for (int64_t i = 0; i < (Cell::has_c ? H : 0); ++i) visit(d_c[i]);
    };
    each([&](S& x) { peak = std::fmax(peak, std::fabs(static_cast<double>(x))); });
    each([&](S& x) { sum += x / peak * (x / peak); });
    const double norm = std::sqrt(sum);
    if (norm > limit / peak) each([&](S& x) { x = static_cast<S>(x / peak * (limit / norm)); });
  }

  static S norm(const S* values, int64_t count) {
    double sums[Squares<S>::kSize] = {};
    for_each_vector<S>(0, count, [&](int64_t i, auto lane) { Squares<S>::add(sums, lane.get(values + i)); });
    return Squares<S>::rounded(Squares<S>::norms(sums, 0, 1, 0)[0]);
  }

  // dL/du_t = W_hrᵀ dL/dh_t, then the pointwise part.
  void through_projection(const Scratch<Row>& rows, int64_t count) {
    const Scratch<const S*> totals(count);
    for (int64_t i = 0; i < count; ++i) totals[i] = rows[i].total;
    for_each_product<NU, S>(
        totals.data(), count, projection_, 0, projection_.tiles, H,
        [&](int64_t i, int64_t unit, auto lane, const Vector<S>& d_u) { point(rows[i], unit, lane, d_u); });
  }

  // Apply the cell's pointwise derivative at step t to a vector of units.
  template <class Access> void point(const Row& row, int64_t unit, Access lane, Vector<S> d_h) {
    const int64_t at = row.index * H + unit;
    Vector<S> kept[Cell::kept + 1], e[E], direct{}, c{}, c_before{}, d_c{}, d_c_before{};
    for (int s = 0; s < Cell::kept; ++s) kept[s] = lane.get(kept_at<G>(row.gates, row.extra, 0, H, s, unit));
    const Vector<S> h = Cell::uses_output ? lane.get(get(p_.h) + at) : Vector<S>{};
    const Vector<S> h_before = Cell::uses_h ? lane.get(row.before.h + unit) : Vector<S>{};
    if constexpr (Cell::has_c) {
      c = lane.get(get(p_.c) + at);
      c_before = lane.get(row.before.c + unit);
      d_c = total_first_ ? lane.get(carried_c_.data() + row.b * H + unit) : arriving_c(row, unit, lane);
      if (row.squares_c) Squares<S>::add(row.squares_c, d_c);
    }
    Cell::template backward<S>(kept, h, h_before, c, c_before, d_h, d_c, e, direct, d_c_before);
    for (int i = 0; i < E; ++i) lane.put(errors_.data() + (row.index * E + i) * H + unit, e[i]);
    if constexpr (Cell::has_direct) lane.put(carried_h_.data() + row.b * H + unit, direct);
    if constexpr (Cell::has_c) lane.put(carried_c_.data() + row.b * H + unit, d_c_before);
  }

  // dL/dx = W_ihᵀ dL/da^x for the rows of a chunk.
  void through_inputs(const Range& range, const Chunk& chunk) const {
    const int64_t tiles = input_.tiles, I = p_.input;
    const int64_t begin = range.by_units ? tiles * range.member / range.members : 0;
    const int64_t end = range.by_units ? tiles * (range.member + 1) / range.members : tiles;
    for_each_product<kWide, S>(chunk.error.data(), chunk.count, input_, begin, end, I,
                               [&](int64_t i, int64_t first, auto lane, const Vector<S>& d_x) {
      lane.put(put(a_.d_x) + chunk.index[i] * I + first, d_x);
    });
  }

  WeightGradients<S> results() const {
    return {{put(a_.d_weight_ih), put(a_.d_weight_hh)},
            {put(a_.d_bias_ih), Cell::biases_differ ? put(a_.d_bias_hh) : nullptr},
            {p_.index ? 0 : p_.input, P}};
  }

  // Destination of a member's sums: the results for the first member, scratch memory for the others.
  WeightGradients<S> sums_of(int64_t member) const {
    WeightGradients<S> sums = results();
    if (member == 0) return sums;
    S* at = member_sums_.data() + (member - 1) * this->sums();
    for (int part = 0; part < 2; ++part) {
      sums.weight[part] = at, at += G * H * sums.width[part];
      if (sums.bias[part]) sums.bias[part] = at;
      at += G * H;
    }
    return sums;
  }

  void join_sums(int64_t participants) const {
    const WeightGradients<S> sums = results();
    const auto add = [](S* to, const S* from, int64_t count) {
      for (int64_t i = 0; i < count; ++i) to[i] += from[i];
    };
    for (int64_t member = 1; member < participants; ++member) {
      const WeightGradients<S> more = sums_of(member);
      for (int part = 0; part < 2; ++part) {
        add(sums.weight[part], more.weight[part], G * H * sums.width[part]);
        if (sums.bias[part]) add(sums.bias[part], more.bias[part], G * H);
      }
    }
  }

  void add_sums(OuterSums<S>& sums, const S* const* errors, const S* const* x, const S* const* h, int64_t rows,
                int64_t member, int64_t members) const {
    Segment segments[Cell::segments];
    Cell::split(H, segments);
    const S* const* const right[2] = {x, h};
    sums.add(errors, right, rows, segments, Cell::segments, member, members);
  }

  // Sum the gradients of the weights over all entries; each participant computes some rows of the weights.
  void sum_over_all(int64_t participants) const {
    Chunk all(steps_.rows(), steps_.rows());
    collect(all, Share{0, 1}, 0, steps_.count);
    in_parts(participants, participants, [&](int64_t begin, int64_t end) {
      for (int64_t member = begin; member < end; ++member) {
        OuterSums<S> sums(results());
        add_sums(sums, all.error.data(), all.x.data(), all.h.data(), all.count, member, participants);
      }
    });
  }

  // ∂L/∂W_ih of one-hot inputs: add each error to the column of its input. Summed in transposed form, then transposed.
  void sum_one_hot(int64_t participants) const {
    const int64_t I = p_.input, width = G * H;
    const Scratch<S> columns(I * width);
    Segment segments[Cell::segments];
    Cell::split(H, segments);
    in_parts(steps_.rows() * width < kSmallCopy ? 1 : participants, H, [&](int64_t begin, int64_t end) {
      for (int64_t input = 0; input < I; ++input)
        for (int g = 0; g < G; ++g) zero(columns.data() + input * width + g * H + begin, end - begin);
      for (const Segment& segment : segments) {
        if (!segment.of_part[0]) continue;
        for (int64_t gate = 0; gate < segment.count; gate += H)
          add_columns(columns.data() + segment.to + gate, segment.first + gate, begin, end);
      }
      for (int g = 0; g < G; ++g)
        for (int64_t unit = g * H + begin; unit < g * H + end; ++unit)
          for (int64_t input = 0; input < I; ++input)
            put(a_.d_weight_ih)[unit * I + input] = columns[input * width + unit];
    });
  }

  void add_columns(S* columns, int64_t error, int64_t begin, int64_t end) const {
    for (int64_t t = 0; t < steps_.count; ++t)
      for (int64_t b = 0; b < steps_.alive(t); ++b) {
        const int64_t row = steps_.row(t, b);
        S* to = columns + p_.index[row] * G * H;
        const S* from = errors_.data() + row * E * H + error;
        for (int64_t unit = begin; unit < end; ++unit) to[unit] += from[unit];
      }
  }

  void sum_projection() const {
    const int64_t rows = steps_.rows();
    Chunk all(rows, 0);
    OuterSums<S> sums({{put(a_.d_weight_hr), nullptr}, {nullptr, nullptr}, {H, 0}});
    const S* extra = recompute_ ? extra_.data() : get(p_.extra);
    const Scratch<const S*> totals(rows), of_u(rows);
    int64_t count = 0;
    for (int64_t t = 0; t < steps_.count; ++t)
      for (int64_t b = 0; b < steps_.alive(t); ++b, ++count) {
        const int64_t index = steps_.row(t, b);
        totals[count] = totals_.data() + index * P;
        of_u[count] = extra + index * H;
      }
    const Segment segment{0, P, 0, {true, false}};
    const S* const* const right[2] = {of_u.data(), nullptr};
    sums.add(totals.data(), right, count, &segment, 1, 0, 1);
  }
};

// Run the backward pass on at most `threads` threads.
template <class Cell, class S> void backward(const tt_backward_arguments& arguments, int64_t threads) {
  const tt_problem& p = arguments.problem;
  const bool whole_rows = p.weight_hr || arguments.clip > 0;
  const Plan plan = plan_for(p, Cell::gates * p.hidden * p.output, sizeof(S), threads, !whole_rows);
  if (plan.rows <= 2) Backward<Cell, S, 4>(arguments, plan);
  else Backward<Cell, S, 2>(arguments, plan);
}

}  // namespace TT_ISA
