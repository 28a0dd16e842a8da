// Forward pass of a recurrence: a loop over chunks of steps, each with its inputs projected at once.
#pragma once

#include "recurrence.hpp"

namespace TT_ISA {

template <class Cell, class S, int NU> class Forward {
 public:
  Forward(const tt_forward_arguments& arguments, const Plan& plan)
      : p_(arguments.problem),
        steps_(p_),
        maps_(p_, plan.participants),
        final_h_(static_cast<S*>(arguments.final_h)),
        final_c_(static_cast<S*>(arguments.final_c)) {
    if (p_.weight_hr) {
      projection_.reserve((p_.output + kWide * kLanes<S> - 1) / (kWide * kLanes<S>), p_.hidden, kWide * kLanes<S>);
      pack_transposed<kWide>(projection_, static_cast<const S*>(p_.weight_hr), p_.output, 1, 0, projection_.tiles);
    }
    const int64_t rows = steps_.rows();
    will_fill<S>(p_.h, rows * p_.output);
    will_fill<S>(p_.c, rows * p_.hidden);
    will_fill<S>(p_.gates, rows * G * p_.hidden);
    will_fill<S>(p_.extra, rows * p_.hidden);
    run_plan(plan, maps_.tiles(), [&](int64_t member, int64_t members, int64_t begin, int64_t end, Barrier* barrier) {
      run(plan.by_units ? Share{0, 1} : Share{member, members}, begin, end, barrier);
    });
    finish();
  }

 private:
  static constexpr int G = Cell::gates;
  static constexpr int kWide = 2;  // vectors per tile of the projection

  // Destination addresses of a row's step.
  struct Row {
    S *out, *c, *gates, *extra;  // h_t (u_t before a projection), c_t, and the kept arrays or NULL
  };

  const tt_problem& p_;
  const Steps steps_;
  const Maps<Cell, S, NU> maps_;
  S *final_h_, *final_c_;
  Packed<S> projection_;

  S* in(void* array, int64_t index) const { return array ? static_cast<S*>(array) + index : nullptr; }

  void run(Share share, int64_t begin, int64_t end, Barrier* barrier) const {
    using M = Maps<Cell, S, NU>;
    const int64_t most = share.of(steps_.batch);
    const int64_t together = steps_at_once(most, (end - begin) * M::kTile, 256), pitch = together * most;
    const Scratch<Row> rows(most);
    const Scratch<StateAt<S>> before(most);
    const Scratch<const S*> x(pitch), h(most), u(most);
    const Scratch<S> a_x((end - begin) * pitch * M::kTile), unprojected(p_.weight_hr ? most * p_.hidden : 0);
    for (int64_t first = 0; first < steps_.count; first += together) {
      const int64_t stop = first + together < steps_.count ? first + together : steps_.count;
      int64_t done = 0;
      for (int64_t t = first; t < stop; ++t)
        for (int64_t i = 0, count = share.of(steps_.alive(t)); i < count; ++i)
          x[done++] = maps_.input(p_, steps_, t, share.row(i));
      maps_.project(x.data(), done, begin, end, a_x.data(), pitch);
      done = 0;
      for (int64_t t = first; t < stop; ++t) {
        const int64_t count = share.of(steps_.alive(t));
        for (int64_t i = 0; i < count; ++i) {
          before[i] = entering_(t, share.row(i));
          rows[i] = row(t, share.row(i), in(unprojected.data(), i * p_.hidden));
          h[i] = before[i].h;
          u[i] = rows[i].out;
        }
        maps_.advance(before.data(), h.data(), count, begin, end, a_x.data() + done * M::kTile, pitch,
                      [&](int64_t i, int64_t unit, auto lane, const Vector<S>& h_new, const Vector<S>& c,
                          const Vector<S>* kept) { put(rows[i], unit, lane, h_new, c, kept); });
        if (p_.weight_hr) project(t, share, u, count);
        if (barrier) barrier->wait();
        done += count;
      }
    }
  }

  StateAt<S> entering_(int64_t t, int64_t b) const {
    StateAt<S> state = entering<Cell, S>(p_, steps_, t, b);
    if (Cell::has_c && !state.c) state.c = final_c_ + steps_.place(b) * p_.hidden;
    return state;
  }

  Row row(int64_t t, int64_t b, S* unprojected) const {
    const int64_t index = steps_.row(t, b), H = p_.hidden;
    S* extra = in(p_.extra, index * H);
    // If c is not kept, final_c holds c_t, and each step overwrites it unit by unit.
    S* c = !Cell::has_c ? nullptr : p_.c ? in(p_.c, index * H) : final_c_ + steps_.place(b) * H;
    return {!p_.weight_hr ? in(p_.h, index * p_.output)
            : extra       ? extra
                          : unprojected,
            c, in(p_.gates, index * G * H), extra};
  }

  template <class Access>
  void put(const Row& row, int64_t unit, Access lane, const Vector<S>& h, const Vector<S>& c,
           const Vector<S>* kept) const {
    lane.put(row.out + unit, h);
    if constexpr (Cell::has_c) lane.put(row.c + unit, c);
    if (row.gates)
      for (int s = 0; s < Cell::kept; ++s) lane.put(kept_at<G>(row.gates, row.extra, 0, p_.hidden, s, unit), kept[s]);
  }

  void project(int64_t t, Share share, const Scratch<const S*>& u, int64_t count) const {
    for_each_product<kWide, S>(u.data(), count, projection_, 0, projection_.tiles, p_.output,
                               [&](int64_t i, int64_t unit, auto lane, const Vector<S>& h) {
      lane.put(in(p_.h, steps_.row(t, share.row(i)) * p_.output + unit), h);
    });
  }

  // Copy the state after each row's last step to the final state.
  void finish() const {
    for (int64_t b = 0; b < steps_.batch; ++b) {
      const int64_t length = steps_.length(b), place = steps_.place(b);
      const StateAt<S> last = length > 0 ? after<Cell, S>(p_, steps_, length - 1, b) : initial<Cell, S>(p_, steps_, b);
      copy_row(final_h_ + place * p_.output, last.h, p_.output);
      if (Cell::has_c && last.c) copy_row(final_c_ + place * p_.hidden, last.c, p_.hidden);
    }
  }
};

// Run the forward pass on at most `threads` threads.
template <class Cell, class S> void forward(const tt_forward_arguments& arguments, int64_t threads) {
  const tt_problem& p = arguments.problem;
  const Plan plan = plan_for(p, Cell::gates * p.hidden * p.output, sizeof(S), threads, p.weight_hr == nullptr);
  // With one or two rows only a wide tile has enough independent sums to hide the latency of the additions.
  if (plan.rows <= 2) Forward<Cell, S, Cell::few>(arguments, plan);
  else Forward<Cell, S, Cell::many>(arguments, plan);
}

}  // namespace TT_ISA
