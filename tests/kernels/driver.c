/* Calls every entry point of throughtime.h from C, over a matrix of shapes and options.
 *
 * Every array has exactly the size that the header states, and what the header calls "out" is NaN before each call:
 * AddressSanitizer finds a read or write beyond the end, `expect_written` an element that was left out. What a call
 * computes on the calling thread alone is what it must compute on any number of threads, in every bit. Exit status 0,
 * or 1 and one line on stderr.
 *
 *   driver all        every shape, option and instruction set that this machine runs
 *   driver threads    a few shapes, many times, on two and three threads: for ThreadSanitizer
 */
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "throughtime.h"

enum { MOST_THREADS = 3 };

typedef struct {
  const char *name;
  int64_t gates, errors;
  bool has_c, keeps_a_h; /* an LSTM; a GRU */
  int (*forward[2])(const tt_forward_arguments *, int64_t);
  int (*backward[2])(const tt_backward_arguments *, int64_t);
  int (*gates_of[2])(const tt_gates_arguments *, int64_t);
} cell_type;

#define CELL(cell, gates, errors, has_c, keeps_a_h)                                                       \
  {#cell, gates, errors, has_c, keeps_a_h, {tt_##cell##_forward_float, tt_##cell##_forward_double},       \
   {tt_##cell##_backward_float, tt_##cell##_backward_double}, {tt_##cell##_gates_float, tt_##cell##_gates_double}}

static const cell_type CELLS[] = {
    CELL(elman_tanh, 1, 1, false, false),     CELL(elman_relu, 1, 1, false, false),
    CELL(elman_identity, 1, 1, false, false), CELL(lstm, 4, 4, true, false),
    CELL(gru, 3, 4, false, true),
};
enum { CELL_COUNT = sizeof CELLS / sizeof *CELLS, LSTM = 3 };

/* what is being tried, for the one line that a failure prints */

static char doing[256];

static void fail(const char *what, int64_t index) {
  fprintf(stderr, "%s: %s (element %" PRId64 ")\n", doing, what, index);
  exit(1);
}

static void expect(bool condition, const char *what) {
  if (!condition) fail(what, -1);
}

/* arrays of float or double */

typedef struct {
  void *at; /* NULL: not there */
  int64_t count;
} array;

static int type; /* 0 float, 1 double */

static size_t bytes_of(array a) { return (size_t)a.count * (type ? sizeof(double) : sizeof(float)); }

static double get(array a, int64_t i) { return type ? ((double *)a.at)[i] : (double)((float *)a.at)[i]; }

static void put(array a, int64_t i, double value) {
  if (type) ((double *)a.at)[i] = value;
  else ((float *)a.at)[i] = (float)value;
}

static const array NONE = {NULL, 0};

/* All bits set: NaN in both types. */
static array unwritten(int64_t count) {
  array a = {NULL, count};
  a.at = malloc(bytes_of(a));
  memset(a.at, 0xff, bytes_of(a));
  return a;
}

static array unwritten_if(bool wanted, int64_t count) { return wanted ? unwritten(count) : NONE; }

static uint64_t state_of_random = 1;

static double random_between(double low, double high) {
  state_of_random = state_of_random * 6364136223846793005u + 1442695040888963407u;
  return low + (high - low) * (double)(state_of_random >> 40) / (double)(1 << 24);
}

static array filled(int64_t count, double scale) {
  array a = unwritten(count);
  for (int64_t i = 0; i < count; ++i) put(a, i, random_between(-scale, scale));
  return a;
}

static array filled_if(bool wanted, int64_t count, double scale) { return wanted ? filled(count, scale) : NONE; }

static array copy_of(array from) {
  if (!from.at) return NONE;
  array a = unwritten(from.count);
  memcpy(a.at, from.at, bytes_of(a));
  return a;
}

static void expect_written(array a, const char *what) {
  for (int64_t i = 0; i < a.count; ++i)
    if (isnan(get(a, i))) fail(what, i);
}

static void expect_same(array a, array b, const char *what) {
  if (a.at && b.at && memcmp(a.at, b.at, bytes_of(a)) != 0)
    for (int64_t i = 0; i < a.count; ++i)
      if (!(get(a, i) == get(b, i))) fail(what, i);
}

static void expect_near(array a, array b, const char *what) {
  const double bound = type ? 1e-13 : 1e-5;
  for (int64_t i = 0; i < a.count; ++i)
    if (!(fabs(get(a, i) - get(b, i)) <= bound * (1 + fabs(get(b, i))))) fail(what, i);
}

/* thread pools: each gives body the whole of [begin, end), at the same time */

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

static int shared_among(int64_t threads, int64_t begin, int64_t end, tt_range body, void *context) {
  const int64_t size = (end - begin + threads - 1) / threads;
  pthread_t others[MOST_THREADS];
  part parts[MOST_THREADS];
  int64_t count = 0;
  for (int64_t from = begin; from < end; from += size) {
    const int64_t to = from + size < end ? from + size : end;
    parts[count++] = (part){body, from, to, context};
  }
  for (int64_t i = 1; i < count; ++i)
    if (pthread_create(&others[i], NULL, run_part, &parts[i])) fail("no thread can be started", i);
  if (count) run_part(&parts[0]);
  for (int64_t i = 1; i < count; ++i) pthread_join(others[i], NULL);
  return 0;
}

static int on_two(int64_t begin, int64_t end, int64_t grain, tt_range body, void *context) {
  (void)grain;
  return shared_among(2, begin, end, body, context);
}

static int on_three(int64_t begin, int64_t end, int64_t grain, tt_range body, void *context) {
  (void)grain;
  return shared_among(3, begin, end, body, context);
}

static int on_the_caller(int64_t begin, int64_t end, int64_t grain, tt_range body, void *context) {
  (void)grain;
  return shared_among(1, begin, end, body, context);
}

/* `threads` is what a call is told; the third pool has fewer to give, the last none but the caller. */
static const struct {
  tt_parallel_for parallel_for;
  int64_t threads;
} POOLS[] = {{on_two, 2}, {on_three, 3}, {on_two, 3}, {on_the_caller, 3}};
enum { POOL_COUNT = sizeof POOLS / sizeof *POOLS };

static int64_t any_pool(void) {
  const int64_t pool = (int64_t)random_between(0, POOL_COUNT);
  tt_use_threads(POOLS[pool].parallel_for);
  return POOLS[pool].threads;
}

/* one problem: a cell, sizes, masks and inputs */

typedef struct {
  const cell_type *cell;
  int64_t T, B, H, P, N;
  int64_t *offsets; /* NULL: B rows at every step */
  uint8_t *resets;
  array weight, bias, projection, a_x, initial_h, initial_c, reset_h, reset_c, d_h, d_final_h, d_final_c;
} problem;

/* Row b has T - b steps and the last of several rows none; a single row ends a step before the others would. */
static int64_t length_of(int64_t T, int64_t B, int64_t b) {
  if (B == 1) return T > 1 ? T - 1 : 0;
  const int64_t length = b == B - 1 ? 0 : b == B - 2 ? 1 : T - b;
  return length > T ? T : length < (b == B - 1 ? 0 : 1) ? (T < 1 ? T : 1) : length;
}

static int64_t *offsets_of(int64_t T, int64_t B) {
  int64_t *offsets = malloc((size_t)(T + 1) * sizeof *offsets);
  offsets[0] = 0;
  for (int64_t t = 0; t < T; ++t) {
    offsets[t + 1] = offsets[t];
    for (int64_t b = 0; b < B; ++b) offsets[t + 1] += length_of(T, B, b) > t;
  }
  return offsets;
}

static uint8_t *random_resets(int64_t count) {
  uint8_t *resets = malloc((size_t)count);
  for (int64_t i = 0; i < count; ++i) resets[i] = random_between(0, 1) < 0.35;
  return resets;
}

static problem make_problem(const cell_type *cell, int64_t T, int64_t B, int64_t H, int64_t P, bool lengths,
                            bool resets, bool bias) {
  const double gain = 1 / sqrt((double)H);
  problem p = {.cell = cell, .T = T, .B = B, .H = H, .P = P, .N = T * B};
  if (lengths) p.offsets = offsets_of(T, B), p.N = p.offsets[T];
  if (resets) p.resets = random_resets(p.N);
  p.weight = filled(cell->gates * H * P, gain);
  p.bias = filled_if(bias, cell->gates * H, 1);
  p.projection = filled_if(P < H, P * H, gain);
  p.a_x = filled(p.N * cell->gates * H, 2);
  p.initial_h = filled(B * P, 1), p.initial_c = filled_if(cell->has_c, B * H, 1);
  p.reset_h = filled_if(resets, B * P, 1), p.reset_c = filled_if(resets && cell->has_c, B * H, 1);
  p.d_h = filled(p.N * P, 1);
  p.d_final_h = filled(B * P, 1), p.d_final_c = filled_if(cell->has_c, B * H, 1);
  return p;
}

static void inputs_of(const problem *p, array *inputs) {
  const array all[] = {p->weight,  p->bias,    p->projection, p->a_x,       p->initial_h, p->initial_c,
                       p->reset_h, p->reset_c, p->d_h,        p->d_final_h, p->d_final_c};
  memcpy(inputs, all, sizeof all);
}
enum { INPUT_COUNT = 11 };

static void free_problem(const problem *p) {
  array inputs[INPUT_COUNT];
  inputs_of(p, inputs);
  for (int i = 0; i < INPUT_COUNT; ++i) free(inputs[i].at);
  free(p->offsets);
  free(p->resets);
}

/* the forward pass */

typedef struct {
  array gates, extra, h, c, final_h, final_c;
} forward_result;

static forward_result forward(const problem *p, bool keep, bool keep_c, int64_t threads) {
  const cell_type *cell = p->cell;
  forward_result r = {
      copy_of(p->a_x), unwritten_if(keep && (p->projection.at || cell->keeps_a_h), p->N * p->H), unwritten(p->N * p->P),
      unwritten_if(keep_c && cell->has_c, p->N * p->H), unwritten(p->B * p->P), unwritten_if(cell->has_c, p->B * p->H)};
  const tt_forward_arguments arguments = {
      p->T, p->B, p->H, p->P, keep, p->offsets, p->resets, p->weight.at, p->bias.at, p->projection.at, r.gates.at,
      r.extra.at, r.h.at, r.c.at, p->initial_h.at, p->initial_c.at, p->reset_h.at, p->reset_c.at, r.final_h.at,
      r.final_c.at};
  expect(cell->forward[type](&arguments, threads) == TT_OK, "the forward pass returns TT_OK");
  expect_written(r.gates, "gates are numbers");
  expect_written(r.extra, "extra is written");
  expect_written(r.h, "h is written");
  expect_written(r.c, "c is written");
  expect_written(r.final_h, "final_h is written");
  expect_written(r.final_c, "final_c is written");
  if (!keep || cell->gates == 1) expect_same(r.gates, p->a_x, "a^x stays as it is where no gates are kept");
  return r;
}

static void free_forward(forward_result r) {
  free(r.gates.at), free(r.extra.at), free(r.h.at), free(r.c.at), free(r.final_h.at), free(r.final_c.at);
}

static void expect_same_forward(forward_result a, forward_result b, bool gates) {
  if (gates) expect_same(a.gates, b.gates, "gates are those of one thread");
  expect_same(a.extra, b.extra, "extra is that of one thread");
  expect_same(a.h, b.h, "h is that of one thread that keeps all");
  expect_same(a.c, b.c, "c is that of one thread that keeps all");
  expect_same(a.final_h, b.final_h, "final_h is that of one thread that keeps all");
  expect_same(a.final_c, b.final_c, "final_c is that of one thread that keeps all");
}

static void try_forward(const problem *p, forward_result alone) {
  static const struct {
    bool keep, c;
  } OPTIONS[] = {{true, true}, {false, true}, {false, false}};
  for (size_t i = 0; i < sizeof OPTIONS / sizeof *OPTIONS; ++i) {
    const forward_result r = forward(p, OPTIONS[i].keep, OPTIONS[i].c, any_pool());
    expect_same_forward(r, alone, OPTIONS[i].keep);
    free_forward(r);
  }
}

/* the gates alone */

/* a^h of every row: W_hh h_{t-1} + b_hh, written out. */
static array recurrent_of(const problem *p, forward_result alone) {
  const int64_t outputs = p->cell->gates * p->H;
  const array a_h = unwritten(p->N * outputs);
  for (int64_t t = 0; t < p->T; ++t) {
    const int64_t first = p->offsets ? p->offsets[t] : t * p->B, last = p->offsets ? p->offsets[t + 1] : (t + 1) * p->B;
    for (int64_t row = first; row < last; ++row) {
      const int64_t b = row - first, before = t ? (p->offsets ? p->offsets[t - 1] : (t - 1) * p->B) + b : b;
      const bool reset = p->resets && p->resets[row];
      const array h = reset ? p->reset_h : t ? alone.h : p->initial_h;
      for (int64_t i = 0; i < outputs; ++i) {
        double sum = p->bias.at ? get(p->bias, i) : 0;
        for (int64_t k = 0; k < p->P; ++k)
          sum += get(p->weight, i * p->P + k) * get(h, (reset ? b : before) * p->P + k);
        put(a_h, row * outputs + i, sum);
      }
    }
  }
  return a_h;
}

static void try_gates(const problem *p, forward_result alone) {
  const array recurrent = recurrent_of(p, alone), gates = copy_of(p->a_x), before = copy_of(recurrent);
  const array extra = unwritten_if(p->cell->keeps_a_h, p->N * p->H);
  const tt_gates_arguments arguments = {p->N, p->H, recurrent.at, gates.at, extra.at};
  expect(p->cell->gates_of[type](&arguments, any_pool()) == TT_OK, "the gates return TT_OK");
  expect_near(gates, alone.gates, "the gates are those of the forward pass");
  if (extra.at) expect_near(extra, alone.extra, "a^h_n is that of the forward pass");
  expect_same(recurrent, before, "a^h stays as it is");
  free(recurrent.at), free(gates.at), free(before.at), free(extra.at);
}

/* the backward pass */

typedef struct {
  array errors, d_total, norm_h, norm_c, d_initial_h, d_initial_c, d_reset_h, d_reset_c;
} backward_result;

static array constant_if(bool wanted, int64_t count, double value) {
  const array a = unwritten_if(wanted, count);
  for (int64_t i = 0; i < a.count; ++i) put(a, i, value);
  return a;
}

static backward_result backward(const problem *p, forward_result kept, double clip, bool norms, int64_t threads) {
  const cell_type *cell = p->cell;
  backward_result r = {
      unwritten(p->N * cell->errors * p->H), unwritten_if(p->projection.at, p->N * p->P), unwritten_if(norms, p->N),
      unwritten_if(norms && cell->has_c, p->N), unwritten(p->B * p->P), unwritten_if(cell->has_c, p->B * p->H),
      constant_if(p->resets, p->B * p->P, 0.25), constant_if(p->resets && cell->has_c, p->B * p->H, 0.25)};
  const tt_backward_arguments arguments = {
      p->T, p->B, p->H, p->P, p->offsets, p->resets, p->weight.at, p->projection.at, kept.gates.at, kept.extra.at,
      kept.h.at, kept.c.at, p->initial_h.at, p->initial_c.at, p->reset_h.at, p->reset_c.at, p->d_h.at, p->d_final_h.at,
      p->d_final_c.at, clip, r.errors.at, r.d_total.at, r.norm_h.at, r.norm_c.at, r.d_initial_h.at, r.d_initial_c.at,
      r.d_reset_h.at, r.d_reset_c.at};
  expect(cell->backward[type](&arguments, threads) == TT_OK, "the backward pass returns TT_OK");
  expect_written(r.errors, "errors are written");
  expect_written(r.d_total, "d_total is written");
  expect_written(r.norm_h, "norm_h is written");
  expect_written(r.norm_c, "norm_c is written");
  expect_written(r.d_initial_h, "d_initial_h is written");
  expect_written(r.d_initial_c, "d_initial_c is written");
  expect_written(r.d_reset_h, "d_reset_h is a number");
  expect_written(r.d_reset_c, "d_reset_c is a number");
  return r;
}

static void free_backward(backward_result r) {
  free(r.errors.at), free(r.d_total.at), free(r.norm_h.at), free(r.norm_c.at);
  free(r.d_initial_h.at), free(r.d_initial_c.at), free(r.d_reset_h.at), free(r.d_reset_c.at);
}

static void expect_same_backward(backward_result a, backward_result b) {
  expect_same(a.errors, b.errors, "errors are those of one thread");
  expect_same(a.d_total, b.d_total, "d_total is that of one thread");
  expect_same(a.norm_h, b.norm_h, "norm_h is that of one thread");
  expect_same(a.norm_c, b.norm_c, "norm_c is that of one thread");
  expect_same(a.d_initial_h, b.d_initial_h, "d_initial_h is that of one thread");
  expect_same(a.d_initial_c, b.d_initial_c, "d_initial_c is that of one thread");
  expect_same(a.d_reset_h, b.d_reset_h, "d_reset_h is that of one thread");
  expect_same(a.d_reset_c, b.d_reset_c, "d_reset_c is that of one thread");
}

/* The norms that a call reports are those of the total gradient before it is clipped to them. */
static void expect_norms(const problem *p, backward_result unclipped) {
  for (int64_t row = 0; unclipped.d_total.at && row < p->N; ++row) {
    double sum = 0;
    for (int64_t i = 0; i < p->P; ++i) sum += pow(get(unclipped.d_total, row * p->P + i), 2);
    const double difference = fabs(sqrt(sum) - get(unclipped.norm_h, row));
    if (!(difference <= 1e-5 * (1 + sqrt(sum)))) fail("norm_h is the norm of d_total", row);
  }
}

static void try_backward(const problem *p, forward_result kept) {
  static const struct {
    double clip;
    bool norms;
  } OPTIONS[] = {{0, false}, {0, true}, {0.5, false}, {0.5, true}};
  for (size_t i = 0; i < sizeof OPTIONS / sizeof *OPTIONS; ++i) {
    tt_use_threads(NULL);
    const backward_result alone = backward(p, kept, OPTIONS[i].clip, OPTIONS[i].norms, 1);
    if (OPTIONS[i].norms && OPTIONS[i].clip == 0) expect_norms(p, alone);
    const backward_result r = backward(p, kept, OPTIONS[i].clip, OPTIONS[i].norms, any_pool());
    expect_same_backward(r, alone);
    free_backward(r), free_backward(alone);
  }
}

/* the matrix */

static void try_problem(const cell_type *cell, int64_t T, int64_t B, int64_t H, int64_t P, bool lengths, bool resets) {
  const bool bias = (T + B + H + lengths) % 2;
  snprintf(doing, sizeof doing, "%s %s %s T=%" PRId64 " B=%" PRId64 " H=%" PRId64 " P=%" PRId64 "%s%s%s",
           tt_instruction_set(), cell->name, type ? "double" : "float", T, B, H, P, lengths ? " lengths" : "",
           resets ? " resets" : "", bias ? " bias" : "");
  const problem p = make_problem(cell, T, B, H, P, lengths, resets, bias);
  array inputs[INPUT_COUNT], before[INPUT_COUNT];
  inputs_of(&p, inputs);
  for (int i = 0; i < INPUT_COUNT; ++i) before[i] = copy_of(inputs[i]);
  tt_use_threads(NULL);
  const forward_result alone = forward(&p, true, true, 1), kept = {copy_of(alone.gates), copy_of(alone.extra),
      copy_of(alone.h), copy_of(alone.c), NONE, NONE};
  try_forward(&p, alone);
  try_gates(&p, alone);
  try_backward(&p, kept);
  expect_same_forward(kept, (forward_result){alone.gates, alone.extra, alone.h, alone.c, NONE, NONE}, true);
  for (int i = 0; i < INPUT_COUNT; ++i) {
    expect_same(inputs[i], before[i], "inputs stay as they are");
    free(before[i].at);
  }
  free_forward(alone), free_forward(kept);
  free_problem(&p);
}

static void try_masks(const cell_type *cell, int64_t T, int64_t B, int64_t H) {
  for (int masks = 0; masks < 4; ++masks) {
    try_problem(cell, T, B, H, H, masks & 1, masks & 2);
    if (cell == &CELLS[LSTM] && H > 1) try_problem(cell, T, B, H, (H + 2) / 3, masks & 1, masks & 2);
  }
}

static void try_cells(int64_t T, int64_t B, int64_t H) {
  for (type = 0; type < 2; ++type)
    for (int cell = 0; cell < CELL_COUNT; ++cell) try_masks(&CELLS[cell], T, B, H);
}

static void try_shapes(void) {
  static const int64_t STEPS[] = {0, 1, 2, 5}, ROWS[] = {1, 2, 3, 5}, UNITS[] = {1, 3, 7, 8, 16, 17, 33, 40};
  for (size_t t = 0; t < sizeof STEPS / sizeof *STEPS; ++t)
    for (size_t b = 0; b < sizeof ROWS / sizeof *ROWS; ++b)
      for (size_t h = 0; h < sizeof UNITS / sizeof *UNITS; ++h) try_cells(STEPS[t], ROWS[b], UNITS[h]);
}

/* Few rows of many units: the units are shared, with a barrier at each step. Then rows in many blocks. */
static void try_threads(void) {
  try_cells(5, 1, 161);
  try_cells(5, 3, 130);
  try_cells(3, 29, 19);
}

static void try_refusals(void) {
  strcpy(doing, "refusals");
  const char *name = tt_instruction_set();
  expect(tt_use_instruction_set("sse9") == TT_BAD_ARGUMENT, "an unknown instruction set is refused");
  expect(tt_instruction_set() == name, "a refused instruction set changes nothing");
  const tt_forward_arguments forwards[] = {{.steps = -1, .batch = 1, .hidden = 2, .output = 2},
                                           {.steps = 1, .batch = -1, .hidden = 2, .output = 2},
                                           {.steps = 1, .batch = 1, .hidden = 0, .output = 0},
                                           {.steps = 1, .batch = 1, .hidden = 2, .output = 3}};
  const tt_backward_arguments backwards[] = {{.steps = -1, .batch = 1, .hidden = 2, .output = 2},
                                             {.steps = 1, .batch = 1, .hidden = 2, .output = 0}};
  const tt_gates_arguments gates[] = {{.rows = -1, .hidden = 1}, {.rows = 1, .hidden = 0}}, sound = {.hidden = 1};
  for (int cell = 0; cell < CELL_COUNT; ++cell)
    for (int of = 0; of < 2; ++of) {
      const cell_type *c = &CELLS[cell];
      for (int i = 0; i < 4; ++i) expect(c->forward[of](&forwards[i], 1) == TT_BAD_ARGUMENT, "sizes are refused");
      for (int i = 0; i < 2; ++i) expect(c->backward[of](&backwards[i], 1) == TT_BAD_ARGUMENT, "sizes are refused");
      for (int i = 0; i < 2; ++i) expect(c->gates_of[of](&gates[i], 1) == TT_BAD_ARGUMENT, "sizes are refused");
      expect(c->gates_of[of](&sound, 0) == TT_BAD_ARGUMENT, "no threads at all are refused");
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
    if (all) try_shapes();
    for (int repetition = 0; repetition < (all ? 1 : 2); ++repetition) try_threads();
    printf("%s\n", set);
  }
  return 0;
}
