/* Calls every entry point of throughtime.h from C, over a matrix of shapes, options, layouts and threads.
 *
 * Every array has exactly the size that the header states, and what the header calls "out" is NaN before each call:
 * AddressSanitizer finds a read or write beyond the end, the checks here an element that was left out, or one after a
 * row's end that was written; inputs after a row's end are NaN and resets there are set, so that reading them shows.
 * A problem is stated in the order of the recurrence and handed over in many manners. What the calling thread computes
 * must be the same in every bit however the arrays are laid out, backwards in time too, and whatever else is asked for;
 * near it (sums are taken in another order) where gates are computed again or threads share the work; and on the same
 * threads the same in every bit each time. Exit status 0, or 1 and one line on stderr.
 *
 *   driver all [set]        every shape and option, on that instruction set, or on each that this machine runs
 *   driver threads [set]    the shapes whose work is shared among threads
 */
#include <pthread.h>

#include "arrays.h"

int64_t takes_left = -1; /* see exact.cpp */

typedef struct {
  const char *name;
  int64_t gates;
  bool has_c, keeps_a_h; /* an LSTM; a GRU */
  int (*forward[2])(const tt_forward_arguments *, int64_t);
  int (*backward[2])(const tt_backward_arguments *, int64_t);
} cell_type;

#define CELL(cell, gates, has_c, keeps_a_h)                                                       \
  {#cell, gates, has_c, keeps_a_h, {tt_##cell##_forward_float, tt_##cell##_forward_double},       \
   {tt_##cell##_backward_float, tt_##cell##_backward_double}}

static const cell_type CELLS[] = {
    CELL(elman_tanh, 1, false, false), CELL(elman_relu, 1, false, false), CELL(elman_identity, 1, false, false),
    CELL(lstm, 4, true, false),        CELL(gru, 3, false, true),
};
enum { CELL_COUNT = sizeof CELLS / sizeof *CELLS };
#define ONE_MORE(cell) +1
_Static_assert(CELL_COUNT == 0 TT_CELLS(ONE_MORE), "every cell of throughtime.h must be called from here");

/* a thread pool: its threads give body the whole of [begin, end), at the same time */

/* What a pool has to give, 0 where there is none, and what a call is told; the last two have less than that. */
static const struct {
  int64_t there, told;
} POOLS[] = {{0, 1}, {2, 2}, {3, 3}, {2, 3}, {1, 3}};
enum { POOL_COUNT = sizeof POOLS / sizeof *POOLS, MOST_THREADS = 3 };

static int64_t threads_there, calls_shared; /* the second shows whether a problem was large enough to be shared */

typedef struct {
  tt_range body;
  int64_t begin, end;
  void *context;
} part;

static void *run_part(void *argument) {
  const part *p = argument;
  p->body(p->begin, p->end, p->context);
  return NULL;
}

static int on_threads(int64_t begin, int64_t end, int64_t grain, tt_range body, void *context) {
  const int64_t fair = (end - begin + threads_there - 1) / threads_there, size = fair > grain ? fair : grain;
  pthread_t others[MOST_THREADS];
  part parts[MOST_THREADS];
  int64_t count = 0;
  ++calls_shared;
  for (int64_t from = begin; from < end; from += size)
    parts[count++] = (part){body, from, from + size < end ? from + size : end, context};
  for (int64_t i = 1; i < count; ++i)
    if (pthread_create(&others[i], NULL, run_part, &parts[i])) fail("cannot be started", "thread", i);
  if (count) run_part(&parts[0]);
  for (int64_t i = 1; i < count; ++i) pthread_join(others[i], NULL);
  return 0;
}

/* one problem: a cell, sizes, masks and inputs, all in the order in which the recurrence takes the steps */

enum { WEIGHT_IH, BIAS_IH, WEIGHT_HH, BIAS_HH, WEIGHT_HR, INITIAL_H, INITIAL_C, RESET_H, RESET_C, D_FINAL_H, D_FINAL_C,
       X, D_H, INPUTS };

typedef struct {
  const cell_type *cell;
  int64_t T, B, I, H, P;
  bool has_lengths, has_resets, one_hot, in_order, reversible;
  int64_t *lengths, *rank, *offsets;         /* rank[row]: how many rows come before it in a step of packed arrays */
  uint8_t *starts;                           /* [T, B], by row: whether the state starts anew before that step */
  int64_t *index;                            /* [T, B], by row: which input is 1, where they are one-hot */
  array in[INPUTS];                          /* X [T, B, I], D_H [T, B, P] by row */
} problem;

/* Lengths from T down to 0; a single row ends a step before the others would. The order is no inverse of itself. */
static void make_rows(problem *p) {
  const size_t size = sizeof(int64_t);
  p->lengths = malloc((size_t)p->B * size), p->rank = malloc((size_t)p->B * size);
  p->offsets = malloc((size_t)(p->T + 1) * size);
  for (int64_t r = 0; r < p->B; ++r) {
    const int64_t row = p->in_order ? r : (r + 1) % p->B;
    p->lengths[row] = !p->has_lengths ? p->T : p->B > 1 ? p->T - r * p->T / (p->B - 1) : p->T > 1 ? p->T - 1 : 0;
    p->rank[row] = r;
  }
  p->offsets[0] = 0;
  for (int64_t t = 0; t < p->T; ++t) {
    p->offsets[t + 1] = p->offsets[t];
    for (int64_t r = 0; r < p->B; ++r) p->offsets[t + 1] += p->lengths[r] > t;
  }
}

/* Backwards in time nothing can start anew before a row's first step: its far side is no boundary. */
static void make_starts(problem *p) {
  p->starts = malloc((size_t)(p->T * p->B));
  for (int64_t i = 0; i < p->T * p->B; ++i)
    p->starts[i] = p->has_resets && random_between(0, 1) < 0.35 && !(p->reversible && i < p->B);
}

static void make_inputs(problem *p, bool bias) {
  const int64_t T = p->T, B = p->B, I = p->I, H = p->H, P = p->P, G = p->cell->gates;
  const bool c = p->cell->has_c, resets = p->has_resets;
  const double gain = 1 / sqrt((double)H);
  const array in[INPUTS] = {
      [WEIGHT_IH] = filled(true, G * H * I, 1 / sqrt(1.0 + (double)I)), [BIAS_IH] = filled(bias, G * H, 1),
      [WEIGHT_HH] = filled(true, G * H * P, gain), [BIAS_HH] = filled(bias, G * H, 1),
      [WEIGHT_HR] = filled(P < H, P * H, gain), [INITIAL_H] = filled(true, B * P, 1),
      [INITIAL_C] = filled(c, B * H, 1), [RESET_H] = filled(resets, B * P, 1),
      [RESET_C] = filled(resets && c, B * H, 1), [D_FINAL_H] = filled(true, B * P, 1),
      [D_FINAL_C] = filled(c, B * H, 1), [X] = filled(true, T * B * I, 2), [D_H] = filled(true, T * B * P, 1)};
  memcpy(p->in, in, sizeof in);
}

static void make_one_hot(problem *p) {
  p->index = calloc((size_t)(p->T * p->B), sizeof *p->index);
  for (int64_t i = 0; p->one_hot && i < p->T * p->B; ++i) {
    p->index[i] = (int64_t)random_between(0, (double)p->I);
    for (int64_t k = 0; k < p->I; ++k) put(p->in[X], i * p->I + k, k == p->index[i]);
  }
}

static void free_problem(problem *p) {
  for (int i = 0; i < INPUTS; ++i) free(p->in[i].at);
  free(p->lengths), free(p->rank), free(p->offsets), free(p->starts), free(p->index);
}

/* how a problem is handed over, and what is asked for; all zero is the plainest */

typedef struct {
  bool packed, reverse, strided, index; /* index: in place of one-hot inputs */
  bool inference, recompute, lean; /* forward alone and nothing kept; gates not kept; no d_x, no d_bias */
  bool norms, starved;             /* starved: first without memory, then with more and more of it */
  double clip;
  int pool;
} manner;

static int64_t rows_of(const problem *p, manner m) { return m.packed ? p->offsets[p->T] : p->T * p->B; }

static int64_t time_of(const problem *p, manner m, int64_t t, int64_t row) {
  return m.reverse ? p->lengths[row] - 1 - t : t;
}

/* The place in arrays [N, …] of step t of the recurrence. */
static int64_t place_of(const problem *p, manner m, int64_t t, int64_t row) {
  const int64_t time = time_of(p, m, t, row);
  return m.packed ? p->offsets[time] + p->rank[row] : time * p->B + row;
}

/* The strides of x and d_h, in elements: batch first, or packed with gaps. A packed array has no stride of steps. */
static void strides_of(const problem *p, manner m, int64_t width, int64_t *step, int64_t *row) {
  *step = m.packed ? INT64_MIN : m.strided ? width : p->B * width;
  *row = m.packed ? width + 2 * m.strided : m.strided ? p->T * width : width;
}

static array laid_out(const problem *p, manner m, array from, int64_t width) {
  int64_t step, of_row;
  strides_of(p, m, width, &step, &of_row);
  const array to = unwritten(m.packed ? rows_of(p, m) * of_row : p->T * p->B * width);
  for (int64_t row = 0; row < p->B; ++row)
    for (int64_t t = 0; t < p->lengths[row]; ++t) {
      const int64_t place = place_of(p, m, t, row);
      const int64_t at = m.packed ? place * of_row : time_of(p, m, t, row) * step + row * of_row;
      for (int64_t i = 0; i < width; ++i) put(to, at + i, get(from, (t * p->B + row) * width + i));
    }
  return to;
}

/* Backwards in time, the boundary before step t is that before the step in time which was taken last. */
static uint8_t *laid_out_resets(const problem *p, manner m) {
  if (!p->has_resets) return NULL;
  uint8_t *resets = malloc((size_t)rows_of(p, m));
  memset(resets, 1, (size_t)rows_of(p, m));
  for (int64_t row = 0; row < p->B; ++row)
    for (int64_t t = m.reverse; t < p->lengths[row]; ++t)
      resets[place_of(p, m, t - m.reverse, row)] = p->starts[t * p->B + row];
  return resets;
}

static int64_t *laid_out_index(const problem *p, manner m) {
  if (!m.index) return NULL;
  int64_t *index = malloc((size_t)rows_of(p, m) * sizeof *index);
  memset(index, 0x7f, (size_t)rows_of(p, m) * sizeof *index);
  for (int64_t row = 0; row < p->B; ++row)
    for (int64_t t = 0; t < p->lengths[row]; ++t) index[place_of(p, m, t, row)] = p->index[t * p->B + row];
  return index;
}

/* From [N, width] back to [T, B, width], unwritten after a row's end, as it must be in padded arrays too. */
static array brought_back(const problem *p, manner m, array from, int64_t width, const char *of) {
  const array to = unwritten(p->T * p->B * width);
  int64_t there = 0;
  for (int64_t row = 0; row < p->B; ++row)
    for (int64_t t = 0; t < p->lengths[row]; ++t)
      for (int64_t i = 0; i < width; ++i, ++there) {
        const int64_t place = place_of(p, m, t, row) * width + i;
        if (isnan(get(from, place))) fail("is not written", of, place);
        put(to, (t * p->B + row) * width + i, get(from, place));
      }
  for (int64_t i = 0; i < from.count; ++i) there -= !is_unwritten(from, i);
  if (there) fail("is written after a row's end", of, there);
  free(from.at);
  return to;
}

/* results: first those of every step */

enum { H_T, C_T, GATES, EXTRA, D_X, NORM_H, NORM_C, OF_STEPS, FINAL_H = OF_STEPS, FINAL_C, D_INITIAL_H, D_INITIAL_C,
       D_RESET_H, D_RESET_C, D_WEIGHT_IH, D_BIAS_IH, D_WEIGHT_HH, D_BIAS_HH, D_WEIGHT_HR, RESULTS };

static const char *const NAMES[RESULTS] = {
    "h", "c", "gates", "extra", "d_x", "norm_h", "norm_c", "final_h", "final_c", "d_initial_h", "d_initial_c",
    "d_reset_h", "d_reset_c", "d_weight_ih", "d_bias_ih", "d_weight_hh", "d_bias_hh", "d_weight_hr"};

typedef struct {
  array of[RESULTS];
} result;

static void free_result(result r) {
  for (int i = 0; i < RESULTS; ++i) free(r.of[i].at);
}

/* What two runs both have. */
static void expect_alike(result a, result b, void (*alike)(array, array, const char *)) {
  for (int i = 0; i < RESULTS; ++i)
    if (a.of[i].at && b.of[i].at) alike(a.of[i], b.of[i], NAMES[i]);
}

static int64_t size_if(bool wanted, int64_t size) { return wanted ? size : -1; }

/* Elements, of one step where there are such; negative where a result is not asked for. */
static void sizes_of(const problem *p, manner m, int64_t *sizes) {
  const int64_t B = p->B, I = p->I, H = p->H, P = p->P, G = p->cell->gates;
  const bool c = p->cell->has_c, gru = p->cell->keeps_a_h, resets = p->has_resets, back = !m.inference;
  const bool gates = G > 1 && back && !m.recompute, bias = back && !m.lean;
  const int64_t all[RESULTS] = {
      [H_T] = P, [C_T] = size_if(c && back, H), [GATES] = size_if(gates, G * H),
      [EXTRA] = size_if(gates && (gru || P < H), H), [D_X] = size_if(bias && !m.index, I),
      [NORM_H] = size_if(back && m.norms, 1), [NORM_C] = size_if(back && m.norms && c, 1), [FINAL_H] = B * P,
      [FINAL_C] = size_if(c, B * H), [D_INITIAL_H] = size_if(back, B * P), [D_INITIAL_C] = size_if(back && c, B * H),
      [D_RESET_H] = size_if(back && resets, B * P), [D_RESET_C] = size_if(back && resets && c, B * H),
      [D_WEIGHT_IH] = size_if(back, G * H * I), [D_BIAS_IH] = size_if(bias, G * H),
      [D_WEIGHT_HH] = size_if(back, G * H * P), [D_BIAS_HH] = size_if(bias && gru, G * H),
      [D_WEIGHT_HR] = size_if(back && P < H, P * H)};
  memcpy(sizes, all, sizeof all);
}

/* the calls */

static tt_problem handed(const problem *p, manner m, const array *out, array x) {
  const array *in = p->in;
  tt_problem to = {
      .steps = p->T, .batch = p->B, .input = p->I, .hidden = p->H, .output = p->P, .reverse = m.reverse,
      .packed = m.packed, .entries = rows_of(p, m), .lengths = p->has_lengths || m.packed ? p->lengths : NULL, .resets = laid_out_resets(p, m), .x = m.index ? NULL : x.at,
      .index = laid_out_index(p, m),
      .weight_ih = in[WEIGHT_IH].at, .bias_ih = in[BIAS_IH].at, .weight_hh = in[WEIGHT_HH].at,
      .bias_hh = in[BIAS_HH].at, .weight_hr = in[WEIGHT_HR].at, .initial_h = in[INITIAL_H].at,
      .initial_c = in[INITIAL_C].at, .reset_h = in[RESET_H].at, .reset_c = in[RESET_C].at,
      .h = out[H_T].at, .c = out[C_T].at, .gates = out[GATES].at, .extra = out[EXTRA].at};
  strides_of(p, m, p->I, &to.x_step, &to.x_row);
  return to;
}

static tt_backward_arguments handed_back(const problem *p, manner m, tt_problem of, const array *out, array d_h) {
  tt_backward_arguments to = {
      .problem = of, .d_h = d_h.at, .d_final_h = p->in[D_FINAL_H].at, .d_final_c = p->in[D_FINAL_C].at, .clip = m.clip,
      .d_x = out[D_X].at, .d_weight_ih = out[D_WEIGHT_IH].at, .d_bias_ih = out[D_BIAS_IH].at,
      .d_weight_hh = out[D_WEIGHT_HH].at, .d_bias_hh = out[D_BIAS_HH].at, .d_weight_hr = out[D_WEIGHT_HR].at,
      .norm_h = out[NORM_H].at, .norm_c = out[NORM_C].at, .d_initial_h = out[D_INITIAL_H].at,
      .d_initial_c = out[D_INITIAL_C].at, .d_reset_h = out[D_RESET_H].at, .d_reset_c = out[D_RESET_C].at};
  strides_of(p, m, p->P, &to.d_h_step, &to.d_h_row);
  return to;
}

static void expect_unchanged(array there, array before, const char *of) {
  if (before.at && memcmp(there.at, before.at, bytes_of(before)) != 0) fail("is changed", of, -1);
  free(before.at);
}

/* A starved call begins without any memory and is given one block more until it succeeds. */
#define CALL(function, arguments)                                                                     \
  do {                                                                                                \
    int status = TT_OUT_OF_MEMORY;                                                                    \
    for (int64_t takes = m.starved ? 0 : -1; status == TT_OUT_OF_MEMORY && takes < 1000; ++takes)     \
      takes_left = takes, status = p->cell->function[type](arguments, POOLS[m.pool].told);            \
    takes_left = -1;                                                                                  \
    expect(status == TT_OK, #function " returns TT_OK");                                              \
  } while (0)

static void describe(manner m) {
  snprintf(manner_tried, sizeof manner_tried, "pool %d clip %g%s%s%s%s%s%s%s%s%s", m.pool, m.clip,
           m.packed ? " packed" : "", m.reverse ? " reverse" : "", m.strided ? " strided" : "", m.index ? " index" : "",
           m.inference ? " inference" : "", m.recompute ? " recompute" : "", m.lean ? " lean" : "",
           m.norms ? " norms" : "", m.starved ? " starved" : "");
}

static void expect_written(array a, const char *of) {
  for (int64_t i = 0; i < a.count; ++i)
    if (isnan(get(a, i))) fail("is not written", of, i);
}

static result run(const problem *p, manner m) {
  describe(m);
  const array x = laid_out(p, m, p->in[X], p->I), d_h = laid_out(p, m, p->in[D_H], p->P);
  int64_t sizes[RESULTS];
  sizes_of(p, m, sizes);
  result r;
  for (int i = 0; i < RESULTS; ++i)
    r.of[i] = sizes[i] < 0 ? NONE : unwritten(sizes[i] * (i < OF_STEPS ? rows_of(p, m) : 1));
  const tt_forward_arguments forth = {handed(p, m, r.of, x), r.of[FINAL_H].at, r.of[FINAL_C].at};
  const tt_backward_arguments back = handed_back(p, m, forth.problem, r.of, d_h);
  threads_there = POOLS[m.pool].there;
  tt_use_threads(threads_there ? on_threads : NULL);
  CALL(forward, &forth);
  array kept[D_X];
  for (int i = 0; i < D_X; ++i) kept[i] = copy_of(r.of[i]);
  if (!m.inference) CALL(backward, &back);
  for (int i = 0; i < D_X; ++i) expect_unchanged(r.of[i], kept[i], NAMES[i]);
  expect_unchanged(x, laid_out(p, m, p->in[X], p->I), "x");
  expect_unchanged(d_h, laid_out(p, m, p->in[D_H], p->P), "d_h");
  free(x.at), free(d_h.at), free((void *)forth.problem.resets), free((void *)forth.problem.index);
  for (int i = 0; i < OF_STEPS; ++i)
    if (r.of[i].at) r.of[i] = brought_back(p, m, r.of[i], sizes[i], NAMES[i]);
  for (int i = OF_STEPS; i < RESULTS; ++i) expect_written(r.of[i], NAMES[i]);
  return r;
}

/* the checks of one problem */

static bool is_possible(const problem *p, manner m) {
  return (p->reversible || !m.reverse) && (p->one_hot || !m.index);
}

static void expect_runs(const problem *p, const manner *manners, size_t count, result wanted,
                        void (*alike)(array, array, const char *)) {
  for (size_t i = 0; i < count; ++i) {
    if (!is_possible(p, manners[i])) continue;
    const result r = run(p, manners[i]);
    expect_alike(r, wanted, alike);
    free_result(r);
  }
}
#define EXPECT_RUNS(p, manners, wanted, alike) expect_runs(p, manners, sizeof manners / sizeof *manners, wanted, alike)

/* At a row's last step the total gradient is known: what comes from the output and from the final state. */
static void expect_norms(const problem *p, result r) {
  for (int64_t row = 0; row < p->B; ++row) {
    const int64_t last = (p->lengths[row] - 1) * p->B + row;
    double of_h = 0, of_c = 0;
    if (last < 0) continue;
    for (int64_t i = 0; i < p->P; ++i)
      of_h += pow(get(p->in[D_H], last * p->P + i) + get(p->in[D_FINAL_H], row * p->P + i), 2);
    for (int64_t i = 0; p->cell->has_c && i < p->H; ++i) of_c += pow(get(p->in[D_FINAL_C], row * p->H + i), 2);
    const double bound = (type ? 1e-12 : 1e-5) * (1 + sqrt(of_h) + sqrt(of_c));
    if (!(fabs(get(r.of[NORM_H], last) - sqrt(of_h)) <= bound)) fail("is wrong", "norm_h", last);
    if (p->cell->has_c && !(fabs(get(r.of[NORM_C], last) - sqrt(of_c)) <= bound)) fail("is wrong", "norm_c", last);
  }
}

static void try_pools(const problem *p, result plain, result clipped) {
  static const manner MANNERS[] = {{0}, {.inference = true}, {.recompute = true, .packed = true},
                                   {.recompute = true, .reverse = true, .strided = true},
                                   {.clip = 0.5, .norms = true}, {.clip = 0.5, .recompute = true},
                                   {.index = true}, {.index = true, .recompute = true},
                                   {.norms = true}, {.norms = true, .recompute = true, .packed = true}};
  const result with_norms = run(p, (manner){.norms = true});
  static int pool = 0; /* each manner on one pool, on another one in the next problem */
  ++pool;
  for (size_t i = 0; i < sizeof MANNERS / sizeof *MANNERS; ++i) {
    manner m = MANNERS[i];
    if (!is_possible(p, m)) continue;
    m.pool = 1 + ++pool % (POOL_COUNT - 1);
    const int64_t before = calls_shared;
    const result r = run(p, m), again = run(p, m);
    expect(calls_shared > before, "threads share the work");
    expect_alike(again, r, expect_same);
    expect_alike(r, m.clip > 0 ? clipped : m.norms ? with_norms : plain, expect_near);
    free_result(r), free_result(again);
  }
  free_result(with_norms);
}

static void try_manners(const problem *p, result plain, result clipped) {
  static const manner SAME[] = {
      {.inference = true}, {.lean = true}, {.strided = true}, {.reverse = true}, {.packed = true},
      {.reverse = true, .strided = true}, {.packed = true, .reverse = true, .strided = true}};
  static const manner NEAR[] = {{.recompute = true, .strided = true}, {.clip = 1e30},
                                {.recompute = true, .packed = true, .reverse = true},
                                {.index = true, .reverse = true}, {.index = true, .recompute = true, .packed = true}};
  static const manner CLIPPED[] = {{.clip = 0.5, .recompute = true, .norms = true, .packed = true},
                                   {.clip = 0.5, .norms = true, .strided = true, .reverse = true}};
  const result with_norms = run(p, (manner){.norms = true});
  expect_norms(p, with_norms);
  expect_norms(p, clipped);
  expect_alike(with_norms, plain, expect_same);
  free_result(with_norms);
  EXPECT_RUNS(p, SAME, plain, expect_same);
  EXPECT_RUNS(p, NEAR, plain, expect_near);
  EXPECT_RUNS(p, CLIPPED, clipped, expect_near);
}

static void try_starved(const problem *p, result plain, result clipped) {
  static const manner FIRST[] = {{.starved = true}}, SECOND[] = {{.starved = true, .clip = 0.5, .recompute = true}};
  EXPECT_RUNS(p, FIRST, plain, expect_same);
  EXPECT_RUNS(p, SECOND, clipped, expect_near);
}

typedef void (*trial)(const problem *, result plain, result clipped);

typedef struct {
  int64_t T, B, I, H;
} shape;

static void try_problem(const cell_type *cell, shape s, int64_t P, bool lengths, bool resets, trial check) {
  const bool bias = (s.T + s.B + s.H + lengths) % 2;
  problem p = {.cell = cell, .T = s.T, .B = s.B, .I = s.I, .H = s.H, .P = P, .has_lengths = lengths,
               .has_resets = resets, .one_hot = s.I > 0 && (s.T + lengths) % 2 == 0,
               .in_order = !lengths || (s.B + s.H) % 3 == 0, .reversible = !resets || (s.T + s.H) % 2};
  snprintf(problem_tried, sizeof problem_tried,
           "%s %s T=%" PRId64 " B=%" PRId64 " I=%" PRId64 " H=%" PRId64 " P=%" PRId64 "%s%s%s%s%s", cell->name,
           type ? "double" : "float", p.T, p.B, p.I, p.H, p.P, lengths ? " lengths" : "", resets ? " resets" : "",
           bias ? " bias" : "", p.in_order ? "" : " order", p.one_hot ? " one-hot" : "");
  make_rows(&p), make_starts(&p), make_inputs(&p, bias), make_one_hot(&p);
  array before[INPUTS];
  for (int i = 0; i < INPUTS; ++i) before[i] = copy_of(p.in[i]);
  const result plain = run(&p, (manner){0}), clipped = run(&p, (manner){.clip = 0.5, .norms = true});
  check(&p, plain, clipped);
  free_result(plain), free_result(clipped);
  for (int i = 0; i < INPUTS; ++i) expect_unchanged(p.in[i], before[i], "an input");
  free_problem(&p);
}

/* the matrix */

enum { EVERY_MASK = -1 };

/* With all four combinations of lengths and resets; or with none and both, each in one of the types, in `turn`. With a
 * projection only rows are shared among threads. */
static void try_cells(shape s, int turn, trial check) {
  for (type = 0; type < 2; ++type)
    for (int masks = 0; masks < 4; ++masks)
      for (int i = 0; i < CELL_COUNT; ++i) {
        const cell_type *cell = &CELLS[i];
        if (turn != EVERY_MASK && masks != ((turn + type) % 2 ? 3 : 0)) continue;
        try_problem(cell, s, s.H, masks & 1, masks & 2, check);
        if (!cell->has_c || s.H == 1 || (check == try_pools && s.B == 1)) continue;
        try_problem(cell, s, (s.H + 2) / 3, masks & 1, masks & 2, check);
      }
}

static void try_shapes(void) {
  static const int64_t STEPS[] = {0, 1, 5}, ROWS[] = {0, 1, 2, 5}, UNITS[] = {1, 7, 16, 17, 33};
  static const int64_t INPUT_SIZES[] = {3, 0, 1, 16, 35, 8, 17};
  int64_t count = 0;
  for (size_t t = 0; t < sizeof STEPS / sizeof *STEPS; ++t)
    for (size_t b = 0; b < sizeof ROWS / sizeof *ROWS; ++b)
      for (size_t h = 0; h < sizeof UNITS / sizeof *UNITS; ++h)
        try_cells((shape){STEPS[t], ROWS[b], INPUT_SIZES[count++ % 7], UNITS[h]}, EVERY_MASK, try_manners);
}

/* More steps than are taken together, more rows than are summed together, more inputs than depth is summed at once. */
static void try_long_shapes(void) {
  static const shape SHAPES[] = {{300, 1, 3, 7}, {300, 2, 2, 5}, {3, 300, 2, 9},
                                 {2, 300, 2, 9}, {2, 3, 600, 5}, {2, 2, 5, 150}};
  for (int i = 0; i < (int)(sizeof SHAPES / sizeof *SHAPES); ++i) try_cells(SHAPES[i], i, try_manners);
}

/* Few rows of many units: the units are shared, with a barrier at each step. Many rows of few: the rows; where
 * the weights' gradients are small, each thread sums its own. */
static void try_threads(void) {
  static const shape SHAPES[] = {{10, 1, 3, 161}, {5, 3, 0, 130}, {10, 29, 5, 33}, {4, 8, 40, 97}};
  for (int i = 0; i < (int)(sizeof SHAPES / sizeof *SHAPES); ++i) try_cells(SHAPES[i], i, try_pools);
}

static void expect_refused(tt_problem bad, int64_t threads, int status) {
  const tt_forward_arguments forward = {.problem = bad};
  const tt_backward_arguments backward = {.problem = bad};
  for (int cell = 0; cell < CELL_COUNT; ++cell)
    for (int of = 0; of < 2; ++of) {
      expect(CELLS[cell].forward[of](&forward, threads) == status, "the forward pass refuses");
      expect(CELLS[cell].backward[of](&backward, threads) == status, "the backward pass refuses");
    }
}

static void try_refusals(void) {
  snprintf(problem_tried, sizeof problem_tried, "refusals");
  const char *name = tt_instruction_set();
  expect(tt_use_instruction_set("sse9") == TT_BAD_ARGUMENT, "an unknown instruction set is refused");
  expect(tt_instruction_set() == name, "a refused instruction set changes nothing");
  const tt_problem sound = {.steps = 1, .batch = 1, .input = 1, .hidden = 2, .output = 2, .entries = 1};
  tt_problem bad[] = {sound, sound, sound, sound, sound, sound, sound, sound};
  bad[0].steps = bad[1].batch = bad[2].input = -1;
  bad[3].hidden = bad[3].output = 0;
  bad[4].output = 1, bad[5].output = bad[6].output = 3;
  bad[6].weight_hr = &sound; /* a projection to more than there are units */
  bad[7].packed = true;      /* without lengths */
  for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) expect_refused(bad[i], 1, TT_BAD_ARGUMENT);
  expect_refused(sound, 0, TT_BAD_ARGUMENT);
  for (int64_t length = -1; length <= 2; length += 3) {
    tt_problem two_rows = {.steps = 1, .batch = 2, .hidden = 2, .output = 2, .entries = 2,
                            .lengths = (const int64_t[]){1, length}};
    expect_refused(two_rows, 1, TT_BAD_LENGTHS);
  }
  tt_problem fewer = sound;
  fewer.entries = 2; /* arrays of another number of entries than the steps and rows, or the lengths, say */
  expect_refused(fewer, 1, TT_BAD_LENGTHS);
  fewer.packed = true, fewer.lengths = (const int64_t[]){1};
  expect_refused(fewer, 1, TT_BAD_LENGTHS);
  for (int64_t index = -1; index <= 1; index += 2) {
    tt_problem outside = sound;
    outside.index = &index; /* of one input */
    expect_refused(outside, 1, TT_BAD_INDEX);
    outside.lengths = (const int64_t[]){1};
    expect_refused(outside, 1, TT_BAD_INDEX);
    outside.packed = true;
    expect_refused(outside, 1, TT_BAD_INDEX);
  }
}

int main(int argc, char **argv) {
  const bool all = argc > 1 && strcmp(argv[1], "all") == 0;
  if (!all && (argc < 2 || strcmp(argv[1], "threads") != 0)) {
    fprintf(stderr, "usage: driver all|threads [instruction set]\n");
    return 2;
  }
  char sets[256];
  snprintf(sets, sizeof sets, "%s", tt_instruction_sets());
  try_refusals();
  for (char *set = strtok(sets, " "); set; set = strtok(NULL, " ")) {
    if (argc > 2 && strcmp(argv[2], set) != 0) continue;
    expect(tt_use_instruction_set(set) == TT_OK && strcmp(tt_instruction_set(), set) == 0, "a named set is used");
    if (all) try_shapes(), try_long_shapes(), try_cells((shape){2, 4, 3, 17}, EVERY_MASK, try_starved);
    try_threads();
    printf("%s\n", set);
  }
  return 0;
}
