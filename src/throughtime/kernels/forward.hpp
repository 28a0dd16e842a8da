// The forward pass of a recurrence.
#pragma once

#include "recurrence.hpp"

namespace TT_ISA {

template <class Cell, class S, int NU> class Forward {
 public:
  Forward(const tt_forward_arguments& arguments, const Plan& plan)
      : steps_{arguments.steps, arguments.batch, arguments.offsets},
        H(arguments.hidden),
        P(arguments.output),
        keep_(arguments.keep),
        resets_(arguments.resets),
        bias_(static_cast<const S*>(arguments.bias)),
        gates_(static_cast<S*>(arguments.gates)),
        extra_(static_cast<S*>(arguments.extra)),
        h_(static_cast<S*>(arguments.h)),
        c_(static_cast<S*>(arguments.c)),
        initial_{static_cast<const S*>(arguments.initial_h), static_cast<const S*>(arguments.initial_c)},
        reset_{static_cast<const S*>(arguments.reset_h), static_cast<const S*>(arguments.reset_c)},
        final_h_(static_cast<S*>(arguments.final_h)),
        final_c_(static_cast<S*>(arguments.final_c)),
        projects_(arguments.projection != nullptr) {
    pack_transposed<NU>(recurrent_, static_cast<const S*>(arguments.weight), H, G, P);
    if (projects_) pack_transposed<kWide>(projection_, static_cast<const S*>(arguments.projection), P, 1, H);
    run_plan(plan, recurrent_.tiles, [&](int64_t member, int64_t members, int64_t begin, int64_t end, Barrier* barrier) {
      run(plan.by_units ? Share{0, 1} : Share{member, members}, begin, end, barrier);
    });
    finish();
  }

 private:
  static constexpr int G = Cell::gates;
  static constexpr int kWide = 2;  // vectors of a tile of the projection

  struct State {
    const S *h, *c;
  };

  // Where one row's step reads and writes.
  struct Row {
    int64_t index;
    State before;
    S *out, *c;  // the pointwise part's output, and c_t
  };

  const Steps steps_;
  const int64_t H, P, keep_;
  const uint8_t* resets_;
  const S* bias_;
  S *gates_, *extra_, *h_, *c_;
  const State initial_, reset_;
  S *final_h_, *final_c_;
  const bool projects_;
  Packed<S> recurrent_, projection_;

  State entering(int64_t t, int64_t b) const {
    if (resets_ && resets_[steps_.row(t, b)]) return at(reset_, b);
    if (t == 0) return at(initial_, b);
    const int64_t before = steps_.row(t - 1, b);
    return {h_ + before * P, c_ ? c_ + before * H : final_c_ + b * H};
  }

  State at(State states, int64_t b) const { return {states.h + b * P, Cell::has_c ? states.c + b * H : nullptr}; }

  Row row(int64_t t, int64_t b, S* unprojected) const {
    const int64_t index = steps_.row(t, b);
    S* out = !projects_ ? h_ + index * P : keep_ ? extra_ + index * H : unprojected;
    // Without c for every step, c_t lives where the final one will be, and is overwritten unit by unit.
    return {index, entering(t, b), out, !Cell::has_c ? nullptr : c_ ? c_ + index * H : final_c_ + b * H};
  }

  void run(Share share, int64_t begin, int64_t end, Barrier* barrier) const {
    const int64_t most = share.of(steps_.batch);
    const Scratch<Row> rows(most);
    const Scratch<const S*> h(most), u(most);
    const Scratch<S> unprojected(projects_ ? most * H : 0);
    for (int64_t t = 0; t < steps_.count; ++t) {
      const int64_t count = share.of(steps_.alive(t));
      for (int64_t i = 0; i < count; ++i) {
        rows[i] = row(t, share.first + i * share.stride, unprojected.data() + i * H);
        h[i] = rows[i].before.h;
        u[i] = rows[i].out;
      }
      for_each_tile<NU * G, S>(h, count, recurrent_, begin, end, [&](int64_t from, int64_t n, int64_t tile, S* product) {
        for (int64_t v = 0; v < NU; ++v) {
          const int64_t unit = (tile * NU + v) * kLanes<S>;
          with_lane<S>(H - unit, [&](auto lane) { points(&rows[from], n, unit, lane, product + v * G * kLanes<S>); });
        }
      });
      if (projects_) project(rows, u, count);
      if (barrier) barrier->wait();
    }
  }

  // The pointwise part of `count` rows on one vector of units.
  template <class Access>
  void points(const Row* rows, int64_t count, int64_t unit, Access lane, const S* product) const {
    Vector<S> bias[G];
    for (int g = 0; g < G; ++g) bias[g] = bias_ ? lane.get(bias_ + g * H + unit) : Vector<S>{};
    for (int64_t r = 0; r < count; ++r) {
      const Row& row = rows[r];
      S* gates = gates_ + row.index * G * H + unit;
      Vector<S> a_x[G], a_h[G], kept[Cell::kept + 1], h, c{};
      for (int g = 0; g < G; ++g) {
        a_x[g] = lane.get(gates + g * H);
        a_h[g] = load<S>(product + (r * NU * G + g) * kLanes<S>) + bias[g];
      }
      const Vector<S> h_before = Cell::uses_h ? lane.get(row.before.h + unit) : Vector<S>{};
      const Vector<S> c_before = Cell::has_c ? lane.get(row.before.c + unit) : Vector<S>{};
      Cell::template forward<S>(a_x, a_h, h_before, c_before, h, c, kept);
      lane.put(row.out + unit, h);
      if constexpr (Cell::has_c) lane.put(row.c + unit, c);
      if (keep_)
        for (int s = 0; s < Cell::kept; ++s) lane.put(s < G ? gates + s * H : extra_ + row.index * H + unit, kept[s]);
    }
  }

  void project(const Scratch<Row>& rows, const Scratch<const S*>& u, int64_t count) const {
    for_each_tile<kWide, S>(u, count, projection_, 0, projection_.tiles,
                            [&](int64_t from, int64_t n, int64_t tile, S* product) {
      for (int64_t v = 0; v < kWide; ++v) {
        const int64_t unit = (tile * kWide + v) * kLanes<S>;
        with_lane<S>(P - unit, [&](auto lane) {
          for (int64_t r = 0; r < n; ++r)
            lane.put(h_ + rows[from + r].index * P + unit, load<S>(product + (r * kWide + v) * kLanes<S>));
        });
      }
    });
  }

  // The state after each row's last step.
  void finish() const {
    for (int64_t b = 0; b < steps_.batch; ++b) {
      if (b >= steps_.alive(0)) put_final(at(initial_, b), b);
    }
    for (int64_t t = 0; t < steps_.count; ++t)
      for (int64_t b = steps_.alive(t + 1); b < steps_.alive(t); ++b) {
        const int64_t last = steps_.row(t, b);
        put_final({h_ + last * P, c_ ? c_ + last * H : nullptr}, b);
      }
  }

  void put_final(State state, int64_t b) const {
    copy_row(final_h_ + b * P, state.h, P);
    if (Cell::has_c && state.c) copy_row(final_c_ + b * H, state.c, H);
  }
};

template <class Cell, class S> void forward(const tt_forward_arguments& arguments, int64_t threads) {
  const int64_t work = Cell::gates * arguments.hidden * arguments.output;
  const Plan plan = plan_for(arguments.batch, work, threads, arguments.projection == nullptr);
  // With one or two rows a narrow tile would leave most accumulators idle, waiting for each other's sums.
  if (plan.rows <= 2) Forward<Cell, S, Cell::few>(arguments, plan);
  else Forward<Cell, S, Cell::many>(arguments, plan);
}

// The gates of many rows, from their pre-activations.
template <class Cell, class S> void gates(const tt_gates_arguments& arguments, int64_t threads) {
  constexpr int G = Cell::gates;
  const int64_t H = arguments.hidden;
  const S* recurrent = static_cast<const S*>(arguments.recurrent);
  S *gates = static_cast<S*>(arguments.gates), *extra = static_cast<S*>(arguments.extra);
  const Plan plan = plan_for(arguments.rows, kSmallStep, threads, false);
  run_plan(plan, 0, [&](int64_t member, int64_t members, int64_t, int64_t, Barrier*) {
    for (int64_t row = arguments.rows * member / members; row < arguments.rows * (member + 1) / members; ++row)
      for_each_vector<S>(0, H, [&](int64_t unit, auto lane) {
        Vector<S> a_x[G], a_h[G], kept[Cell::kept + 1], h, c;
        for (int g = 0; g < G; ++g) {
          a_x[g] = lane.get(gates + (row * G + g) * H + unit);
          a_h[g] = lane.get(recurrent + (row * G + g) * H + unit);
        }
        Cell::template forward<S>(a_x, a_h, Vector<S>{}, Vector<S>{}, h, c, kept);
        for (int s = 0; s < Cell::kept; ++s)
          lane.put(s < G ? gates + (row * G + s) * H + unit : extra + row * H + unit, kept[s]);
      });
  });
}

}  // namespace TT_ISA
