/* The C interface of throughtime's kernels: a cell's recurrence over a whole batch of sequences, in one call each way.
 *
 * Conventions. Arrays hold float or double, as the function's name says, and belong to the caller; no two overlap unless
 * said so. T steps, B rows, I inputs, H hidden units, P = size of h (H without a projection), G gates (1 Elman, 4 LSTM,
 * 3 GRU). Arrays [N, …] have an entry for each step of each row, dense and row-major:
 *
 *   padded   N = T * B, step t of row b at t * B + b;
 *   packed   N is the sum of the lengths, which are given: the rows that have a step 0 one after the other, those that
 *            have a step 1, …; longer rows before shorter ones, those of one length in the order of b.
 *
 * In padded arrays nothing is read or written after a row's end. Other "out" arrays are written in full.
 */
#ifndef THROUGHTIME_H
#define THROUGHTIME_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { TT_OK = 0, TT_OUT_OF_MEMORY = 1, TT_BAD_ARGUMENT = 2, TT_BAD_LENGTHS = 3 };

/* What a recurrence runs over, and with which weights: the same for both directions of differentiation. */
typedef struct tt_problem {
  int64_t steps, batch, input, hidden, output; /* T, B, I, H, P */
  int64_t reverse;          /* whether each row is run from its last step to its first */
  int64_t packed;           /* how arrays [N, …] are laid out: see above */
  const int64_t *lengths;   /* [B] valid steps of each row, 0 … T, else TT_BAD_LENGTHS; NULL: all T */
  const uint8_t *resets;    /* [N], nonzero where, before that step in time, the state starts anew; or NULL */
  const void *x;            /* inputs, row n of step t at x + t * x_step + b * x_row elements; packed: x + n * x_row */
  int64_t x_step, x_row;
  const int64_t *index;     /* [N] or NULL: in place of x, which of the I inputs is 1; all others are 0 */
  const void *weight_ih, *bias_ih;     /* [G * H, I]; [G * H], or NULL */
  const void *weight_hh, *bias_hh;     /* [G * H, P]; [G * H], or NULL with bias_ih */
  const void *weight_hr;               /* [P, H], or NULL when P == H (LSTM only) */
  const void *initial_h, *initial_c;   /* [B, P], [B, H]; the second for the LSTM */
  const void *reset_h, *reset_c;       /* likewise, the state that resets return to; NULL without resets */
  void *h;                             /* h_t [N, P]; out of the forward pass */
  void *c;                             /* LSTM c_t [N, H], likewise; NULL if not kept, and for other cells */
  void *gates;                         /* what else is kept: the gates [N, G * H] (LSTM i f g o, GRU r z n) */
  void *extra;                         /* and GRU a^h_n [N, H]; LSTM with a projection u [N, H] */
} tt_problem;

/* The forward pass. With gates NULL they are not kept (an Elman cell has none to keep), with c NULL neither is c. */
typedef struct tt_forward_arguments {
  tt_problem problem;
  void *final_h, *final_c; /* out: [B, P], [B, H], the state after each row's last step */
} tt_forward_arguments;

/* The backward pass. Where gates is NULL they are computed again, from h and c as the forward pass left them. */
typedef struct tt_backward_arguments {
  tt_problem problem;
  const void *d_h; /* dL/dh_t through the outputs alone, as x is laid out */
  int64_t d_h_step, d_h_row;
  const void *d_final_h, *d_final_c;       /* [B, P], [B, H] */
  double clip;                             /* largest norm of a row's dL/d(state) at a step; 0 for no clipping */
  void *d_x;                               /* out: [N, I]; or NULL, as with an index */
  void *d_weight_ih, *d_bias_ih;           /* out; a bias may be NULL */
  void *d_weight_hh, *d_bias_hh;           /* likewise; the bias is written for the GRU only: see biases_differ */
  void *d_weight_hr;                       /* out; NULL without a projection */
  void *norm_h, *norm_c;                   /* out: norms of the total dL/dh_t and dL/dc_t [N]; or both NULL */
  void *d_initial_h, *d_initial_c;         /* out: [B, P], [B, H] */
  void *d_reset_h, *d_reset_c;             /* out, likewise; NULL without resets */
} tt_backward_arguments;

/* Shares [begin, end) among threads and calls body on each part, all parts at the same time (they wait for one
 * another); as torch_parallel_for of libtorch_cpu. */
typedef void (*tt_range)(int64_t begin, int64_t end, void *context);
typedef int (*tt_parallel_for)(int64_t begin, int64_t end, int64_t grain, tt_range body, void *context);

/* Use `parallel_for` (NULL: the calling thread alone). To be called before any other thread calls a kernel. */
void tt_use_threads(tt_parallel_for parallel_for);

/* The instruction sets this library has and this machine runs, best first, as "avx512 avx2 baseline". */
const char *tt_instruction_sets(void);

/* Use this instruction set from now on; TT_BAD_ARGUMENT if it is not among those. */
int tt_use_instruction_set(const char *name);

/* The instruction set in use. */
const char *tt_instruction_set(void);

/* The list of all cells: a cell's C++ file ends with TT_REGISTER of its name here. */
#define TT_CELLS(X) X(elman_tanh) X(elman_relu) X(elman_identity) X(lstm) X(gru)

/* Each pass returns TT_OK or another status; `threads` is the most that may be used.
 *
 * `biases_differ` says whether the gradients of bias_ih and bias_hh differ, and whether `extra` keeps a^h of the last
 * gate: 1 for the GRU. Where it is 0, both gradients are equal, d_bias_ih is written and d_bias_hh is not. */
#define TT_DECLARE(cell)                                                                    \
  int tt_##cell##_forward_float(const tt_forward_arguments *arguments, int64_t threads);    \
  int tt_##cell##_forward_double(const tt_forward_arguments *arguments, int64_t threads);   \
  int tt_##cell##_backward_float(const tt_backward_arguments *arguments, int64_t threads);  \
  int tt_##cell##_backward_double(const tt_backward_arguments *arguments, int64_t threads); \
  int tt_##cell##_biases_differ(void);
TT_CELLS(TT_DECLARE)
#undef TT_DECLARE

#ifdef __cplusplus
}
#endif

#endif
