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
 *   driver all        every shape, option and instruction set that this machine runs
 *   driver threads    a few shapes, on one, two and three threads: for ThreadSanitizer
 */
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "throughtime.h"

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

/* what is being tried, for the one line that a failure prints */

static char problem_tried[128], manner_tried[128];

static void fail(const char *what, const char *of, int64_t index) {
  fprintf(stderr, "%s %s, %s: %s %s (element %" PRId64 ")\n", tt_instruction_set(), problem_tried, manner_tried, of,
          what, index);
  exit(1);
}

static void expect(bool condition, const char *what) {
  if (!condition) fail(what, "", -1);
}

/* arrays of float or double */

typedef struct {
  void *at; /* NULL: not there */
  int64_t count;
} array;

static const array NONE = {NULL, 0};
static int type; /* 0 float, 1 double */

static size_t bytes_of(array a) { return (size_t)a.count * (type ? sizeof(double) : sizeof(float)); }

static double get(array a, int64_t i) { return type ? ((double *)a.at)[i] : (double)((float *)a.at)[i]; }

static void put(array a, int64_t i, double value) {
  if (type) ((double *)a.at)[i] = value;
  else ((float *)a.at)[i] = (float)value;
}

/* All bits set: NaN in both types. */
static array unwritten(int64_t count) {
  array a = {NULL, count};
  a.at = malloc(bytes_of(a));
  memset(a.at, 0xff, bytes_of(a));
  return a;
}

static bool is_unwritten(array a, int64_t i) {
  return type ? ((uint64_t *)a.at)[i] == UINT64_MAX : ((uint32_t *)a.at)[i] == UINT32_MAX;
}

static array copy_of(array from) {
  if (!from.at) return NONE;
  const array a = unwritten(from.count);
  memcpy(a.at, from.at, bytes_of(a));
  return a;
}

static uint64_t state_of_random = 1;

static double random_between(double low, double high) {
  state_of_random = state_of_random * 6364136223846793005u + 1442695040888963407u;
  return low + (high - low) * (double)(state_of_random >> 40) / (double)(1 << 24);
}

static array filled(bool wanted, int64_t count, double scale) {
  if (!wanted) return NONE;
  const array a = unwritten(count);
  for (int64_t i = 0; i < count; ++i) put(a, i, random_between(-scale, scale));
  return a;
}

static void expect_same(array a, array b, const char *of) {
  if (memcmp(a.at, b.at, bytes_of(a)) == 0) return;
  for (int64_t i = 0; i < a.count; ++i)
    if (get(a, i) != get(b, i) && !(is_unwritten(a, i) && is_unwritten(b, i))) fail("is not the same", of, i);
}

/* Gradients may cancel to nothing, so numbers up to 1 are compared as they are. */
static void expect_near(array a, array b, const char *of) {
  double largest = 1;
  for (int64_t i = 0; i < b.count; ++i)
    if (fabs(get(b, i)) > largest) largest = fabs(get(b, i));
  for (int64_t i = 0; i < a.count; ++i)
    if (!(fabs(get(a, i) - get(b, i)) <= (type ? 1e-12 : 1e-5) * largest || is_unwritten(b, i)))
      fail("is not near", of, i);
}

/* thread pools: each gives body the whole of [begin, end), at the same time */

enum { MOST_THREADS = 3 };

typedef struct {
  tt_range body;
  int64_t begin, end;
  void *context;
} part;

static int64_t calls_shared; /* among threads: whether a problem was large enough */

static void *run_part(void *argument) {
  const part *p = argument;
  p->body(p->begin, p->end, p->context);
  return NULL;
}

static int shared_among(int64_t threads, int64_t begin, int64_t end, tt_range body, void *context) {
  const int64_t size = (end - begin + threads - 1) / threads;
  pthread_t others[MOST_THREADS];
  part parts[MOST_THREADS];
  int64_t count = 0;
  ++calls_shared;
  for (int64_t from = begin; from < end; from += size) {
    const int64_t to = from + size < end ? from + size : end;
    parts[count++] = (part){body, from, to, context};
  }
  for (int64_t i = 1; i < count; ++i)
    if (pthread_create(&others[i], NULL, run_part, &parts[i])) fail("cannot be started", "thread", i);
  if (count) run_part(&parts[0]);
  for (int64_t i = 1; i < count; ++i) pthread_join(others[i], NULL);
  return 0;
}

#define POOL(name, threads)                                                                        \
  static int name(int64_t begin, int64_t end, int64_t grain, tt_range body, void *context) {       \
    (void)grain;                                                                                   \
    return shared_among(threads, begin, end, body, context);                                       \
  }
POOL(on_the_caller, 1)
POOL(on_two, 2)
POOL(on_three, 3)

/* `threads` is what a call is told; the fourth pool has fewer to give, the last none but the caller. */
static const struct {
  tt_parallel_for parallel_for;
  int64_t threads;
} POOLS[] = {{NULL, 1}, {on_two, 2}, {on_three, 3}, {on_two, 3}, {on_the_caller, 3}};
enum { POOL_COUNT = sizeof POOLS / sizeof *POOLS };

/* one problem: a cell, sizes, masks and inputs, all in the order in which the recurrence takes the steps */

enum { WEIGHT_IH, BIAS_IH, WEIGHT_HH, BIAS_HH, WEIGHT_HR, INITIAL_H, INITIAL_C, RESET_H, RESET_C, D_FINAL_H, D_FINAL_C,
       X, D_H, INPUTS };

typedef struct {
  const cell_type *cell;
  int64_t T, B, I, H, P;
  bool has_lengths, has_resets, in_order, reversible;
  int64_t *lengths, *order, *rank, *offsets; /* lengths by rank; rank[row] is where `order` has the row */
  uint8_t *starts;                           /* [T, B], by row: whether the state starts anew before that step */
  array in[INPUTS];                          /* X [T, B, I], D_H [T, B, P] by row */
} problem;

static int64_t length_of(const problem *p, int64_t row) { return p->lengths[p->rank[row]]; }

/* Lengths from T down to 0; a single row ends a step before the others would. The order is no inverse of itself. */
static void make_rows(problem *p) {
  const size_t size = sizeof(int64_t);
  p->lengths = malloc((size_t)p->B * size), p->order = malloc((size_t)p->B * size);
  p->rank = malloc((size_t)p->B * size), p->offsets = malloc((size_t)(p->T + 1) * size);
  for (int64_t r = 0; r < p->B; ++r) {
    p->lengths[r] = !p->has_lengths ? p->T : p->B > 1 ? p->T - r * p->T / (p->B - 1) : p->T > 1 ? p->T - 1 : 0;
    p->order[r] = p->in_order ? r : (r + 1) % p->B;
    p->rank[p->order[r]] = r;
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

static void free_problem(problem *p) {
  for (int i = 0; i < INPUTS; ++i) free(p->in[i].at);
  free(p->lengths), free(p->order), free(p->rank), free(p->offsets), free(p->starts);
}

/* how a problem is handed over, and what is asked for; all zero is the plainest */

typedef struct {
  bool packed, reverse, strided;
  bool inference, recompute, lean; /* forward alone and nothing kept; gates not kept; no d_x, no d_bias */
  bool norms, starved;             /* starved: first without memory, then with more and more of it */
  double clip;
  int pool;
} manner;

static int64_t rows_of(const problem *p, manner m) { return m.packed ? p->offsets[p->T] : p->T * p->B; }

static int64_t time_of(const problem *p, manner m, int64_t t, int64_t row) {
  return m.reverse ? length_of(p, row) - 1 - t : t;
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
    for (int64_t t = 0; t < length_of(p, row); ++t) {
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
    for (int64_t t = m.reverse; t < length_of(p, row); ++t)
      resets[place_of(p, m, t - m.reverse, row)] = p->starts[t * p->B + row];
  return resets;
}

/* From [N, width] back to [T, B, width], unwritten after a row's end, as it must be in padded arrays too. */
static array brought_back(const problem *p, manner m, array from, int64_t width, const char *of) {
  const array to = unwritten(p->T * p->B * width);
  int64_t there = 0;
  for (int64_t row = 0; row < p->B; ++row)
    for (int64_t t = 0; t < length_of(p, row); ++t)
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

static int64_t size_if(bool wanted, int64_t size) { return wanted ? size : -1; }

/* Elements, of one step where there are such; negative where a result is not asked for. */
static void sizes_of(const problem *p, manner m, int64_t *sizes) {
  const int64_t B = p->B, I = p->I, H = p->H, P = p->P, G = p->cell->gates;
  const bool c = p->cell->has_c, gru = p->cell->keeps_a_h, resets = p->has_resets, back = !m.inference;
  const bool gates = G > 1 && back && !m.recompute, bias = back && !m.lean;
  const int64_t all[RESULTS] = {
      [H_T] = P, [C_T] = size_if(c && back, H), [GATES] = size_if(gates, G * H),
      [EXTRA] = size_if(gates && (gru || P < H), H), [D_X] = size_if(back && !m.lean, I),
      [NORM_H] = size_if(back && m.norms, 1), [NORM_C] = size_if(back && m.norms && c, 1), [FINAL_H] = B * P,
      [FINAL_C] = size_if(c, B * H), [D_INITIAL_H] = size_if(back, B * P), [D_INITIAL_C] = size_if(back && c, B * H),
      [D_RESET_H] = size_if(back && resets, B * P), [D_RESET_C] = size_if(back && resets && c, B * H),
      [D_WEIGHT_IH] = size_if(back, G * H * I), [D_BIAS_IH] = size_if(bias, G * H),
      [D_WEIGHT_HH] = size_if(back, G * H * P), [D_BIAS_HH] = size_if(bias && gru, G * H),
      [D_WEIGHT_HR] = size_if(back && P < H, P * H)};
  memcpy(sizes, all, sizeof all);
}

static void free_result(result r) {
  for (int i = 0; i < RESULTS; ++i) free(r.of[i].at);
}

/* What two runs both have. */
static void expect_alike(result a, result b, void (*alike)(array, array, const char *)) {
  for (int i = 0; i < RESULTS; ++i)
    if (a.of[i].at && b.of[i].at) alike(a.of[i], b.of[i], NAMES[i]);
}

/* the calls */

static tt_problem handed(const problem *p, manner m, const result *r, array x, const uint8_t *resets) {
  const array *in = p->in;
  tt_problem to = {
      .steps = p->T, .batch = p->B, .input = p->I, .hidden = p->H, .output = p->P, .reverse = m.reverse,
      .lengths = p->has_lengths || m.packed ? p->lengths : NULL, .order = p->in_order ? NULL : p->order,
      .offsets = m.packed ? p->offsets : NULL, .resets = resets, .x = x.at,
      .weight_ih = in[WEIGHT_IH].at, .bias_ih = in[BIAS_IH].at, .weight_hh = in[WEIGHT_HH].at,
      .bias_hh = in[BIAS_HH].at, .weight_hr = in[WEIGHT_HR].at, .initial_h = in[INITIAL_H].at,
      .initial_c = in[INITIAL_C].at, .reset_h = in[RESET_H].at, .reset_c = in[RESET_C].at,
      .h = r->of[H_T].at, .c = r->of[C_T].at, .gates = r->of[GATES].at, .extra = r->of[EXTRA].at};
  strides_of(p, m, p->I, &to.x_step, &to.x_row);
  return to;
}

static void pass_forward(const problem *p, manner m, const tt_problem *of, const result *r) {
  const tt_forward_arguments arguments = {*of, r->of[FINAL_H].at, r->of[FINAL_C].at};
  int64_t takes = m.starved ? 0 : -1;
  int status;
  do takes_left = takes++, status = p->cell->forward[type](&arguments, POOLS[m.pool].threads);
  while (m.starved && status == TT_OUT_OF_MEMORY);
  takes_left = -1;
  expect(status == TT_OK, "the forward pass returns TT_OK");
}

static void pass_backward(const problem *p, manner m, const tt_problem *of, const result *r, array d_h) {
  const array *out = r->of;
  tt_backward_arguments arguments = {
      .problem = *of, .d_h = d_h.at, .d_final_h = p->in[D_FINAL_H].at, .d_final_c = p->in[D_FINAL_C].at, .clip = m.clip,
      .d_x = out[D_X].at, .d_weight_ih = out[D_WEIGHT_IH].at, .d_bias_ih = out[D_BIAS_IH].at,
      .d_weight_hh = out[D_WEIGHT_HH].at, .d_bias_hh = out[D_BIAS_HH].at, .d_weight_hr = out[D_WEIGHT_HR].at,
      .norm_h = out[NORM_H].at, .norm_c = out[NORM_C].at, .d_initial_h = out[D_INITIAL_H].at,
      .d_initial_c = out[D_INITIAL_C].at, .d_reset_h = out[D_RESET_H].at, .d_reset_c = out[D_RESET_C].at};
  strides_of(p, m, p->P, &arguments.d_h_step, &arguments.d_h_row);
  int64_t takes = m.starved ? 0 : -1;
  int status;
  do takes_left = takes++, status = p->cell->backward[type](&arguments, POOLS[m.pool].threads);
  while (m.starved && status == TT_OUT_OF_MEMORY);
  takes_left = -1;
  expect(status == TT_OK, "the backward pass returns TT_OK");
}

static void expect_kept(array *before, const result *r) {
  for (int i = 0; i < D_X; ++i) {
    if (before[i].at && memcmp(before[i].at, r->of[i].at, bytes_of(before[i]))) fail("is changed", NAMES[i], -1);
    free(before[i].at);
  }
}

static void expect_laid_out(const problem *p, manner m, array there, int which, int64_t width) {
  const array again = laid_out(p, m, p->in[which], width);
  expect(memcmp(there.at, again.at, bytes_of(again)) == 0, "inputs stay as they are");
  free(again.at), free(there.at);
}

static result run(const problem *p, manner m) {
  snprintf(manner_tried, sizeof manner_tried, "pool %d clip %g%s%s%s%s%s%s%s%s", m.pool, m.clip,
           m.packed ? " packed" : "", m.reverse ? " reverse" : "", m.strided ? " strided" : "",
           m.inference ? " inference" : "", m.recompute ? " recompute" : "", m.lean ? " lean" : "",
           m.norms ? " norms" : "", m.starved ? " starved" : "");
  const array x = laid_out(p, m, p->in[X], p->I), d_h = laid_out(p, m, p->in[D_H], p->P);
  uint8_t *resets = laid_out_resets(p, m);
  int64_t sizes[RESULTS];
  sizes_of(p, m, sizes);
  result r;
  for (int i = 0; i < RESULTS; ++i)
    r.of[i] = sizes[i] < 0 ? NONE : unwritten(sizes[i] * (i < OF_STEPS ? rows_of(p, m) : 1));
  const tt_problem of = handed(p, m, &r, x, resets);
  tt_use_threads(POOLS[m.pool].parallel_for);
  pass_forward(p, m, &of, &r);
  array kept[D_X];
  for (int i = 0; i < D_X; ++i) kept[i] = copy_of(r.of[i]);
  if (!m.inference) pass_backward(p, m, &of, &r, d_h);
  expect_kept(kept, &r);
  expect_laid_out(p, m, x, X, p->I), expect_laid_out(p, m, d_h, D_H, p->P);
  free(resets);
  for (int i = 0; i < OF_STEPS; ++i)
    if (r.of[i].at) r.of[i] = brought_back(p, m, r.of[i], sizes[i], NAMES[i]);
  for (int i = OF_STEPS; i < RESULTS; ++i)
    for (int64_t k = 0; k < r.of[i].count; ++k)
      if (isnan(get(r.of[i], k))) fail("is not written", NAMES[i], k);
  return r;
}

/* the checks of one problem */

static void expect_runs(const problem *p, const manner *manners, size_t count, result wanted,
                        void (*alike)(array, array, const char *)) {
  for (size_t i = 0; i < count; ++i) {
    if (manners[i].reverse && !p->reversible) continue;
    const result r = run(p, manners[i]);
    expect_alike(r, wanted, alike);
    free_result(r);
  }
}
#define EXPECT_RUNS(p, manners, wanted, alike) expect_runs(p, manners, sizeof manners / sizeof *manners, wanted, alike)

/* At a row's last step the total gradient is known: what comes from the output and from the final state. */
static void expect_norms(const problem *p, result r) {
  for (int64_t row = 0; row < p->B; ++row) {
    const int64_t last = (length_of(p, row) - 1) * p->B + row;
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
                                   {.clip = 0.5, .norms = true}, {.clip = 0.5, .recompute = true}};
  static int pool = 0; /* each manner on one pool, on another one in the next problem */
  ++pool;
  for (size_t i = 0; i < sizeof MANNERS / sizeof *MANNERS; ++i) {
    manner m = MANNERS[i];
    if (m.reverse && !p->reversible) continue;
    m.pool = 1 + ++pool % (POOL_COUNT - 1);
    const int64_t before = calls_shared;
    const result r = run(p, m), again = run(p, m);
    expect(calls_shared > before, "threads share the work");
    expect_alike(again, r, expect_same);
    expect_alike(r, m.clip > 0 ? clipped : plain, expect_near);
    free_result(r), free_result(again);
  }
}

static void try_manners(const problem *p, bool pools) {
  static const manner SAME[] = {
      {.inference = true}, {.lean = true}, {.strided = true}, {.reverse = true}, {.packed = true},
      {.reverse = true, .strided = true}, {.packed = true, .reverse = true, .strided = true}};
  static const manner NEAR[] = {{.recompute = true, .strided = true}, {.clip = 1e30},
                                {.recompute = true, .packed = true, .reverse = true}};
  static const manner CLIPPED[] = {{.clip = 0.5, .recompute = true, .norms = true, .packed = true},
                                   {.clip = 0.5, .norms = true, .strided = true, .reverse = true}};
  const result plain = run(p, (manner){0}), with_norms = run(p, (manner){.norms = true});
  expect_norms(p, with_norms);
  expect_alike(with_norms, plain, expect_near);
  const result clipped = run(p, (manner){.clip = 0.5, .norms = true});
  expect_norms(p, clipped);
  if (pools) try_pools(p, plain, clipped);
  else {
    EXPECT_RUNS(p, SAME, plain, expect_same);
    EXPECT_RUNS(p, NEAR, plain, expect_near);
    EXPECT_RUNS(p, CLIPPED, clipped, expect_near);
  }
  free_result(plain), free_result(with_norms), free_result(clipped);
}

static void try_starved(const problem *p) {
  static const manner STARVED[] = {{.starved = true}}, RECOMPUTED[] = {{.starved = true, .recompute = true}};
  const result plain = run(p, (manner){0});
  EXPECT_RUNS(p, STARVED, plain, expect_same);
  EXPECT_RUNS(p, RECOMPUTED, plain, expect_near);
  free_result(plain);
}

typedef enum { EVERY_MANNER, ON_POOLS, STARVED } trial;

typedef struct {
  int64_t T, B, I, H;
} shape;

static void try_problem(const cell_type *cell, shape s, int64_t P, bool lengths, bool resets, trial how) {
  const bool bias = (s.T + s.B + s.H + lengths) % 2;
  problem p = {.cell = cell, .T = s.T, .B = s.B, .I = s.I, .H = s.H, .P = P, .has_lengths = lengths,
               .has_resets = resets, .in_order = (s.B + s.H) % 3 == 0, .reversible = !resets || (s.T + s.H) % 2};
  snprintf(problem_tried, sizeof problem_tried,
           "%s %s T=%" PRId64 " B=%" PRId64 " I=%" PRId64 " H=%" PRId64 " P=%" PRId64 "%s%s%s%s", cell->name,
           type ? "double" : "float", p.T, p.B, p.I, p.H, p.P, lengths ? " lengths" : "", resets ? " resets" : "",
           bias ? " bias" : "", p.in_order ? "" : " order");
  make_rows(&p), make_starts(&p), make_inputs(&p, bias);
  array before[INPUTS];
  for (int i = 0; i < INPUTS; ++i) before[i] = copy_of(p.in[i]);
  if (how == STARVED) try_starved(&p);
  else try_manners(&p, how == ON_POOLS);
  for (int i = 0; i < INPUTS; ++i) {
    if (before[i].at) expect_same(p.in[i], before[i], "an input");
    free(before[i].at);
  }
  free_problem(&p);
}

/* the matrix */

static void try_cell(const cell_type *cell, shape s, trial how) {
  for (type = 0; type < 2; ++type)
    for (int masks = 0; masks < 4; ++masks) {
      try_problem(cell, s, s.H, masks & 1, masks & 2, how);
      const bool too_few = how == ON_POOLS && s.B == 1; /* with a projection only rows are shared */
      if (cell->has_c && s.H > 1 && !too_few) try_problem(cell, s, (s.H + 2) / 3, masks & 1, masks & 2, how);
    }
}

static void try_cells(shape s, trial how) {
  for (int cell = 0; cell < CELL_COUNT; ++cell) try_cell(&CELLS[cell], s, how);
}

static void try_shapes(void) {
  static const int64_t STEPS[] = {0, 1, 2, 5}, ROWS[] = {0, 1, 2, 3, 5}, UNITS[] = {1, 7, 16, 17, 33};
  static const int64_t INPUT_SIZES[] = {3, 0, 1, 16, 35, 8, 17};
  int64_t count = 0;
  for (size_t t = 0; t < sizeof STEPS / sizeof *STEPS; ++t)
    for (size_t b = 0; b < sizeof ROWS / sizeof *ROWS; ++b)
      for (size_t h = 0; h < sizeof UNITS / sizeof *UNITS; ++h)
        try_cells((shape){STEPS[t], ROWS[b], INPUT_SIZES[count++ % 7], UNITS[h]}, EVERY_MANNER);
}

/* More steps than are taken together, more rows than are summed together, more inputs than depth is summed at once. */
static void try_long_shapes(void) {
  static const shape SHAPES[] = {{300, 1, 3, 7}, {300, 2, 2, 5}, {3, 300, 2, 9}, {2, 3, 600, 5}, {2, 2, 5, 150}};
  for (size_t i = 0; i < sizeof SHAPES / sizeof *SHAPES; ++i) try_cells(SHAPES[i], EVERY_MANNER);
}

/* Few rows of many units: the units are shared, with a barrier at each step. Many rows of few: the rows. */
static void try_threads(void) {
  try_cells((shape){10, 1, 3, 161}, ON_POOLS);
  try_cells((shape){5, 3, 0, 130}, ON_POOLS);
  try_cells((shape){10, 29, 5, 33}, ON_POOLS);
}

static void try_refusals(void) {
  snprintf(problem_tried, sizeof problem_tried, "refusals");
  const char *name = tt_instruction_set();
  expect(tt_use_instruction_set("sse9") == TT_BAD_ARGUMENT, "an unknown instruction set is refused");
  expect(tt_instruction_set() == name, "a refused instruction set changes nothing");
  const int64_t offsets[] = {0, 1};
  const tt_problem sound = {.hidden = 2, .output = 2}, bad[] = {
      {.steps = -1, .batch = 1, .hidden = 2, .output = 2}, {.steps = 1, .batch = -1, .hidden = 2, .output = 2},
      {.steps = 1, .batch = 1, .hidden = 0, .output = 0},  {.steps = 1, .batch = 1, .hidden = 2, .output = 3},
      {.steps = 1, .batch = 1, .hidden = 2, .output = 1},  {.steps = 1, .batch = 1, .input = -1, .hidden = 2, .output = 2},
      {.steps = 1, .batch = 1, .hidden = 2, .output = 3, .weight_hr = &sound},
      {.steps = 1, .batch = 1, .hidden = 2, .output = 2, .offsets = offsets}};
  for (int cell = 0; cell < CELL_COUNT; ++cell)
    for (int of = 0; of < 2; ++of) {
      const cell_type *c = &CELLS[cell];
      for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
        const tt_forward_arguments forward = {.problem = bad[i]};
        const tt_backward_arguments backward = {.problem = bad[i]};
        expect(c->forward[of](&forward, 1) == TT_BAD_ARGUMENT, "sizes are refused");
        expect(c->backward[of](&backward, 1) == TT_BAD_ARGUMENT, "sizes are refused");
      }
      const tt_forward_arguments forward = {.problem = sound};
      const tt_backward_arguments backward = {.problem = sound};
      expect(c->forward[of](&forward, 0) == TT_BAD_ARGUMENT, "no threads at all are refused");
      expect(c->backward[of](&backward, 0) == TT_BAD_ARGUMENT, "no threads at all are refused");
    }
}

int main(int argc, char **argv) {
  const bool all = argc == 2 && strcmp(argv[1], "all") == 0;
  if (!all && (argc != 2 || strcmp(argv[1], "threads") != 0)) {
    fprintf(stderr, "usage: driver all|threads\n");
    return 2;
  }
  char sets[256];
  snprintf(sets, sizeof sets, "%s", tt_instruction_sets());
  try_refusals();
  for (char *set = strtok(sets, " "); set; set = strtok(NULL, " ")) {
    expect(tt_use_instruction_set(set) == TT_OK && strcmp(tt_instruction_set(), set) == 0, "a named set is used");
    if (all) try_shapes(), try_long_shapes(), try_cells((shape){2, 4, 3, 17}, STARVED);
    try_threads();
    printf("%s\n", set);
  }
  return 0;
}
