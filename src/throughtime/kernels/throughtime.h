/* C interface of the kernels: one call runs a recurrence over a batch of sequences.
 *
 * Types. Arrays hold float or double, as the suffix of the function says.
 * Ownership. The caller owns every array. Arrays do not overlap. The library keeps no pointer after a call.
 * Alignment. Arrays need the alignment of their element type only.
 * Sizes. T steps, B rows (sequences), I inputs, H hidden units, P = size of h (H without a projection), G gates (1 for
 * Elman, 4 for the LSTM, 3 for the GRU).
 * Layout. Arrays are dense and row-major, except x and d_h, which have strides. The first axis of arrays [N, …] runs
 * over the steps of all rows:
 *
 *   padded   N = T * B; step t of row b is entry t * B + b.
 *   packed   N is the sum of the lengths, which must be given. All rows with a step 0 come first, then all rows with a
 *            step 1, and so on; within a step, longer rows precede shorter rows, and equal lengths keep the order of b.
 *
 * Padding. The library neither reads nor writes entries of a padded array after a row's end. It writes every element of
 * all other "out" arrays.
 * Threads. Calls from several threads at once are safe if their output arrays differ. tt_use_threads and
 * tt_use_instruction_set change the whole process: no kernel may run at the same time.
 */
#ifndef THROUGHTIME_H
#define THROUGHTIME_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { TT_OK = 0, TT_OUT_OF_MEMORY = 1, TT_BAD_ARGUMENT = 2, TT_BAD_LENGTHS = 3, TT_BAD_INDEX = 4 };

/* Sizes, inputs, weights and states of a recurrence, shared by the forward and the backward pass. */
typedef struct tt_problem {
  int64_t steps, batch, input, hidden, output; /* T, B, I, H, P */
  int64_t reverse;          /* nonzero: run each row from its last step to its first */
  int64_t packed;           /* nonzero: arrays [N, …] are packed, else padded */
  int64_t entries;          /* N (else TT_BAD_LENGTHS) */
  const int64_t *lengths;   /* [B] valid steps of each row, 0 … T (else TT_BAD_LENGTHS); NULL: T for each */
  const uint8_t *resets;    /* [N], nonzero: the state returns to reset_h, reset_c before that step; or NULL */
  const void *x;            /* inputs; padded: step t of row b at x + t * x_step + b * x_row; packed: x + n * x_row */
  int64_t x_step, x_row;    /* strides of x in elements; the I inputs of an entry are adjacent */
  const int64_t *index;     /* [N] one-hot inputs instead of x: which input, 0 … I - 1, is 1 (else TT_BAD_INDEX) */
  const void *weight_ih, *bias_ih;     /* [G * H, I]; [G * H], or NULL */
  const void *weight_hh, *bias_hh;     /* [G * H, P]; [G * H], or NULL with bias_ih */
  const void *weight_hr;               /* [P, H] projection of the LSTM; NULL if P == H */
  const void *initial_h, *initial_c;   /* [B, P], [B, H]; c for the LSTM only */
  const void *reset_h, *reset_c;       /* [B, P], [B, H] state after a reset; NULL without resets */
  void *h;                             /* h_t [N, P]; out in the forward pass, in for the backward pass */
  void *c;                             /* c_t [N, H] of the LSTM, likewise; NULL if not kept, and for other cells */
  void *gates;                         /* gates [N, G * H], likewise (LSTM i f g o, GRU r z n); NULL if not kept */
  void *extra;                         /* [N, H] kept with gates: a^h_n of the GRU, u of the LSTM with a projection */
} tt_problem;

/* Arguments of the forward pass. If `gates` or `c` is NULL, that array is not kept; an Elman cell keeps h alone. */
typedef struct tt_forward_arguments {
  tt_problem problem;
  void *final_h, *final_c; /* out: [B, P], [B, H] state after each row's last step */
} tt_forward_arguments;

/* Arguments of the backward pass. If `gates` is NULL, the gates are recomputed from h and c of the forward pass.
 *
 * The norm of finite entries is finite: the type's largest number stands for a larger norm. A row of dL/d(h_t, c_t) that
 * is not finite is not clipped. */
typedef struct tt_backward_arguments {
  tt_problem problem;
  const void *d_h; /* g_t = dL/dh_t through the outputs alone, [MR] (8) */
  int64_t d_h_step, d_h_row;               /* strides of d_h, with the meaning of x_step and x_row */
  const void *d_final_h, *d_final_c;       /* [B, P], [B, H] dL/d(final state) */
  double clip;                             /* largest norm of a row's dL/d(h_t, c_t); 0: no clipping */
  void *d_x;                               /* out: [N, I]; or NULL (always with `index`) */
  void *d_weight_ih, *d_bias_ih;           /* out, shaped as the parameters; a bias may be NULL */
  void *d_weight_hh, *d_bias_hh;           /* likewise; d_bias_hh is written only if the biases differ, see below */
  void *d_weight_hr;                       /* out; NULL without a projection */
  void *norm_h, *norm_c;                   /* out: [N] norms of total dL/dh_t, dL/dc_t before clipping; or both NULL */
  void *d_initial_h, *d_initial_c;         /* out: [B, P], [B, H] */
  void *d_reset_h, *d_reset_c;             /* out: [B, P], [B, H]; NULL without resets */
} tt_backward_arguments;

/* Parallel loop of the host, with the signature of torch_parallel_for in libtorch_cpu.
 *
 * It splits [begin, end) into parts of at least `grain` and calls `body` on each. All parts must run concurrently,
 * because the parts wait for each other at barriers. It returns 0 on success. */
typedef void (*tt_range)(int64_t begin, int64_t end, void *context);
typedef int (*tt_parallel_for)(int64_t begin, int64_t end, int64_t grain, tt_range body, void *context);

/* Set the parallel loop of all later calls; NULL, the default, uses the calling thread alone. */
void tt_use_threads(tt_parallel_for parallel_for);

/* List the usable instruction sets, best first, as in "avx512 avx2 baseline". The string is static. */
const char *tt_instruction_sets(void);

/* Select an instruction set for all later calls; TT_BAD_ARGUMENT if the library or the machine lacks it. */
int tt_use_instruction_set(const char *name);

/* Return the name of the instruction set in use. The string is static. */
const char *tt_instruction_set(void);

/* List of all cells. Each name is registered by TT_REGISTER at the end of a cell's C++ file. */
#define TT_CELLS(X) X(elman_tanh) X(elman_relu) X(elman_identity) X(lstm) X(gru)

/* Entry points of a cell. A pass returns TT_OK or another status, and uses at most `threads` threads (at least 1).
 *
 * `gates` returns G, and `has_c` whether the state has c: what is passed in must be sized accordingly.
 *
 * `biases_differ` returns 1 if the gradients of bias_ih and bias_hh differ (the GRU); `extra` then keeps a^h of the
 * last gate. If it returns 0, the two gradients are equal, and only d_bias_ih is written. */
#define TT_DECLARE(cell)                                                                    \
  int tt_##cell##_forward_float(const tt_forward_arguments *arguments, int64_t threads);    \
  int tt_##cell##_forward_double(const tt_forward_arguments *arguments, int64_t threads);   \
  int tt_##cell##_backward_float(const tt_backward_arguments *arguments, int64_t threads);  \
  int tt_##cell##_backward_double(const tt_backward_arguments *arguments, int64_t threads); \
  int tt_##cell##_gates(void);                                                              \
  int tt_##cell##_has_c(void);                                                              \
  int tt_##cell##_biases_differ(void);
TT_CELLS(TT_DECLARE)

#ifdef __cplusplus
}
#endif

#endif
