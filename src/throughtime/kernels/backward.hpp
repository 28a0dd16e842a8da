// The backward recursion of a recurrence: G_t = g_t + J_{t+1}ᵀ G_{t+1} ([MR] (8)), and the errors at the affine maps.
#pragma once

#include "recurrence.hpp"

namespace TT_ISA {

template <class Cell, class S, int NU> class Backward {
 public:
  Backward(const tt_backward_arguments& arguments, const Plan& plan)
      : a_(arguments),
        steps_{arguments.steps, arguments.batch, arguments.offsets},
        H(arguments.hidden),
        P(arguments.output),
        projects_(arguments.projection != nullptr),
        apart_(projects_ || arguments.clip > 0 || arguments.norm_h != nullptr),
        no_error_(G * H),
        carried_h_(Cell::has_direct ? steps_.batch * P : 0),
        carried_c_(Cell::has_c ? steps_.batch * H : 0) {
    pack<NU>(recurrent_, get(a_.weight), G * H, P);
    if (projects_) pack<NU>(projection_, get(a_.projection), P, H);
    zero(no_error_.data(), G * H);
    if (Cell::has_c) copy_row(carried_c_.data(), get(a_.d_final_c), steps_.batch * H);
    run_plan(plan, recurrent_.tiles, [&](int64_t member, int64_t members, int64_t begin, int64_t end, Barrier* barrier) {
      run(plan.by_units ? Share{0, 1} : Share{member, members}, begin, end, barrier);
    });
  }

 private:
  static constexpr int G = Cell::gates, E = Cell::errors;

  static const S* get(const void* p) { return static_cast<const S*>(p); }
  static S* put(void* p) { return static_cast<S*>(p); }

  // Where one row's step reads and writes.
  struct Row {
    int64_t index, b;
    bool last;           // the row's last step: dL/d(final state) comes in, and nothing from a step t + 1
    bool next_is_reset;  // what comes from step t + 1 belongs to the reset state
    const S* error;      // dL/da^h of step t + 1
    const S *h_before, *c_before;
    S* total;            // dL/dh_t, where the steps are taken apart
  };

  const tt_backward_arguments& a_;
  const Steps steps_;
  const int64_t H, P;
  const bool projects_;
  const bool apart_;  // dL/dh_t is needed in full before the pointwise part: for its norm, or for the projection
  Packed<S> recurrent_, projection_;
  Scratch<S> no_error_;   // [G * H] the error of a step that was not there
  Scratch<S> carried_h_;  // [B, P] what reaches h_t from step t + 1 past the affine maps
  Scratch<S> carried_c_;  // [B, H] dL/dc_t

  Row row(int64_t t, int64_t b, S* total) const {
    Row row{0, b, b >= steps_.alive(t + 1), false, no_error_.data(), nullptr, nullptr, total};
    if (!row.last) {
      const int64_t next = steps_.row(t + 1, b);
      row.error = get(a_.errors) + next * E * H + Cell::recurrent_error * H;
      row.next_is_reset = a_.resets && a_.resets[next];
    }
    if (t < 0) return row;
    row.index = steps_.row(t, b);
    if (projects_) row.total = put(a_.d_total) + row.index * P;
    const bool reset = a_.resets && a_.resets[row.index];
    const int64_t before = t > 0 ? steps_.row(t - 1, b) : 0;
    row.h_before = reset ? get(a_.reset_h) + b * P : t == 0 ? get(a_.initial_h) + b * P : get(a_.h) + before * P;
    if (Cell::has_c)
      row.c_before = reset ? get(a_.reset_c) + b * H : t == 0 ? get(a_.initial_c) + b * H : get(a_.c) + before * H;
    return row;
  }

  void run(Share share, int64_t begin, int64_t end, Barrier* barrier) {
    const int64_t most = share.of(steps_.batch);
    const Scratch<Row> rows(most);
    const Scratch<const S*> errors(most);
    const Scratch<S> totals(apart_ && !projects_ ? most * P : 0);
    for (int64_t t = steps_.count - 1; t >= -1; --t) {
      const int64_t count = share.of(t < 0 ? steps_.batch : steps_.alive(t));
      for (int64_t i = 0; i < count; ++i) {
        rows[i] = row(t, share.first + i * share.stride, totals.data() + i * P);
        errors[i] = rows[i].error;
      }
      for_each_tile<NU, S>(errors, count, recurrent_, begin, end, [&](int64_t from, int64_t n, int64_t tile, S* product) {
        for (int64_t v = 0; v < NU; ++v) {
          const int64_t unit = (tile * NU + v) * kLanes<S>;
          with_lane<S>(P - unit, [&](auto lane) {
            for (int64_t r = 0; r < n; ++r)
              arrived(t, rows[from + r], unit, lane, load<S>(product + (r * NU + v) * kLanes<S>));
          });
        }
      });
      if (t < 0) {
        initial_c(rows, count, begin * NU * kLanes<S>, end * NU * kLanes<S>);
      } else if (apart_) {
        for (int64_t i = 0; i < count; ++i) norms(rows[i]);
        if (projects_) through_projection(rows, count);
        else for (int64_t i = 0; i < count; ++i)
          for_each_vector<S>(0, H, [&](int64_t unit, auto lane) { point(rows[i], unit, lane, lane.get(rows[i].total + unit)); });
      }
      if (barrier) barrier->wait();
    }
  }

  // One vector of units of J_{t+1}ᵀ G_{t+1} has arrived.
  template <class Access> void arrived(int64_t t, const Row& row, int64_t unit, Access lane, Vector<S> d_h) {
    const int64_t at = row.b * P + unit;
    if (row.last) d_h = lane.get(get(a_.d_final_h) + at);  // not +=: no error times an infinite weight is NaN
    else if (Cell::has_direct) d_h += lane.get(carried_h_.data() + at);
    if (row.next_is_reset) {
      S* to = put(a_.d_reset_h) + at;
      lane.put(to, lane.get(to) + d_h);
      d_h = Vector<S>{};
    }
    if (t < 0) return lane.put(put(a_.d_initial_h) + at, d_h);
    d_h += lane.get(get(a_.d_h) + row.index * P + unit);
    if (apart_) lane.put(row.total + unit, d_h);
    else point(row, unit, lane, d_h);
  }

  // dL/dc_t of one vector of units.
  template <class Access> Vector<S> arriving_c(const Row& row, int64_t unit, Access lane) {
    const int64_t at = row.b * H + unit;
    Vector<S> d_c = lane.get(carried_c_.data() + at);
    if (row.next_is_reset) {
      S* to = put(a_.d_reset_c) + at;
      lane.put(to, lane.get(to) + d_c);
      d_c = Vector<S>{};
    }
    return d_c;
  }

  void initial_c(const Scratch<Row>& rows, int64_t count, int64_t begin, int64_t end) {
    if (!Cell::has_c) return;
    if (projects_ || end > H) end = H;  // with a projection the tiles are of h, and one member has them all
    for (int64_t i = 0; i < count; ++i)
      for_each_vector<S>(begin, end, [&](int64_t unit, auto lane) {
        lane.put(put(a_.d_initial_c) + rows[i].b * H + unit, arriving_c(rows[i], unit, lane));
      });
  }

  // The norm of dL/d(state), recorded and held under the threshold.
  void norms(const Row& row) {
    S* d_c = Cell::has_c ? carried_c_.data() + row.b * H : nullptr;
    if (Cell::has_c)
      for_each_vector<S>(0, H, [&](int64_t unit, auto lane) { lane.put(d_c + unit, arriving_c(row, unit, lane)); });
    if (!a_.norm_h && !(a_.clip > 0)) return;
    const S of_h = norm(row.total, P), of_c = Cell::has_c ? norm(d_c, H) : S(0);
    if (a_.norm_h) put(a_.norm_h)[row.index] = of_h;
    if (a_.norm_c && Cell::has_c) put(a_.norm_c)[row.index] = of_c;
    const S together = std::hypot(of_h, of_c), limit = static_cast<S>(a_.clip);
    if (!(a_.clip > 0) || together <= limit) return;
    const S scale = limit / together;
    for (int64_t i = 0; i < P; ++i) row.total[i] *= scale;
    for (int64_t i = 0; i < (Cell::has_c ? H : 0); ++i) d_c[i] *= scale;
  }

  // Scaled by the largest entry where the plain sum of squares leaves the range of S.
  static S norm(const S* values, int64_t count) {
    S sum = 0, peak = 0;
    for (int64_t i = 0; i < count; ++i) sum += values[i] * values[i];
    if (sum > S(1e-30) && sum < S(1e30)) return std::sqrt(sum);
    for (int64_t i = 0; i < count; ++i) {
      if (std::isnan(values[i])) return values[i];
      if (std::abs(values[i]) > peak) peak = std::abs(values[i]);
    }
    if (peak == 0 || std::isinf(peak)) return peak;
    sum = 0;
    for (int64_t i = 0; i < count; ++i) sum += values[i] / peak * (values[i] / peak);
    return peak * std::sqrt(sum);
  }

  // dL/du_t = W_hrᵀ dL/dh_t, then the pointwise part.
  void through_projection(const Scratch<Row>& rows, int64_t count) {
    const Scratch<const S*> totals(count);
    for (int64_t i = 0; i < count; ++i) totals[i] = rows[i].total;
    for_each_tile<NU, S>(totals, count, projection_, 0, projection_.tiles,
                         [&](int64_t from, int64_t n, int64_t tile, S* product) {
      for (int64_t v = 0; v < NU; ++v) {
        const int64_t unit = (tile * NU + v) * kLanes<S>;
        with_lane<S>(H - unit, [&](auto lane) {
          for (int64_t r = 0; r < n; ++r) point(rows[from + r], unit, lane, load<S>(product + (r * NU + v) * kLanes<S>));
        });
      }
    });
  }

  // The pointwise derivative of step t on one vector of units.
  template <class Access> void point(const Row& row, int64_t unit, Access lane, Vector<S> d_h) {
    const int64_t at = row.index * H + unit;
    Vector<S> kept[Cell::kept + 1], e[E], direct{}, c{}, c_before{}, d_c{}, d_c_before{};
    for (int s = 0; s < Cell::kept; ++s)
      kept[s] = lane.get(s < G ? get(a_.gates) + row.index * G * H + s * H + unit : get(a_.extra) + at);
    const Vector<S> h = Cell::uses_output ? lane.get(get(a_.h) + at) : Vector<S>{};
    const Vector<S> h_before = Cell::uses_h ? lane.get(row.h_before + unit) : Vector<S>{};
    if constexpr (Cell::has_c) {
      c = lane.get(get(a_.c) + at);
      c_before = lane.get(row.c_before + unit);
      d_c = apart_ ? lane.get(carried_c_.data() + row.b * H + unit) : arriving_c(row, unit, lane);
    }
    Cell::template backward<S>(kept, h, h_before, c, c_before, d_h, d_c, e, direct, d_c_before);
    for (int i = 0; i < E; ++i) lane.put(put(a_.errors) + row.index * E * H + i * H + unit, e[i]);
    if constexpr (Cell::has_direct) lane.put(carried_h_.data() + row.b * H + unit, direct);
    if constexpr (Cell::has_c) lane.put(carried_c_.data() + row.b * H + unit, d_c_before);
  }
};

template <class Cell, class S> void backward(const tt_backward_arguments& arguments, int64_t threads) {
  const int64_t work = Cell::gates * arguments.hidden * arguments.output;
  const bool whole_rows = arguments.projection || arguments.clip > 0 || arguments.norm_h;
  const Plan plan = plan_for(arguments.batch, work, threads, !whole_rows);
  if (plan.rows <= 2) Backward<Cell, S, 4>(arguments, plan);
  else Backward<Cell, S, 2>(arguments, plan);
}

}  // namespace TT_ISA
