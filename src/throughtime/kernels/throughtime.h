/* The C interface of throughtime's kernels: a cell's recurrence over a whole batch of sequences.
 *
 * Conventions. Every array is dense and row-major, of float or double as the function's name says, and belongs to the
 * caller; no two arrays overlap unless said so. T steps, B rows, H hidden units, P = size of h (H without a
 * projection), G gates (1 Elman, 4 LSTM, 3 GRU). "Row" (t, b) of an array over steps stands at offsets[t] + b, or at
 * t * B + b where offsets is NULL; N is the number of such rows. With offsets the rows of the batch are sorted by
 * decreasing length, and step t has the first offsets[t + 1] - offsets[t] of them. "Out" arrays are written in full
 * unless said so.
 */
#ifndef THROUGHTIME_H
#define THROUGHTIME_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { TT_OK = 0, TT_OUT_OF_MEMORY = 1, TT_BAD_ARGUMENT = 2 };

typedef struct tt_forward_arguments {
  int64_t steps, batch, hidden, output; /* T, B, H, P */
  int64_t keep;                         /* whether what the backward pass needs is to be kept */
  const int64_t *offsets;               /* [T + 1], or NULL for B rows at every step */
  const uint8_t *resets;                /* [N], nonzero where the row's state starts anew before the step; or NULL */
  const void *weight;                   /* W_hh [G * H, P] */
  const void *bias;                     /* b_hh [G * H], or NULL */
  const void *projection;               /* W_hr [P, H], or NULL when P == H (LSTM only) */
  void *gates;                          /* in: a^x [N, G * H]; out, if keep: the gates (LSTM i f g o, GRU r z n) */
  void *extra;                          /* out, if keep: GRU a^h_n [N, H]; LSTM with a projection u [N, H]; else NULL */
  void *h;                              /* out: h_t [N, P] */
  void *c;                              /* out: LSTM c_t [N, H]; NULL if it need not be kept, and for other cells */
  const void *initial_h, *initial_c;    /* [B, P], [B, H]; the second for the LSTM */
  const void *reset_h, *reset_c;        /* likewise, the state that resets return to; NULL without resets */
  void *final_h, *final_c;              /* out: [B, P], [B, H], the state after each row's last step */
} tt_forward_arguments;

typedef struct tt_backward_arguments {
  int64_t steps, batch, hidden, output;
  const int64_t *offsets;
  const uint8_t *resets;
  const void *weight, *projection;
  const void *gates, *extra, *h, *c; /* as the forward pass left them */
  const void *initial_h, *initial_c, *reset_h, *reset_c;
  const void *d_h;                   /* dL/dh_t through the outputs alone [N, P] */
  const void *d_final_h, *d_final_c; /* [B, P], [B, H] */
  double clip;                       /* largest norm of a row's dL/d(state) at a step; 0 for no clipping */
  void *errors;    /* out: dL/da [N, H] Elman, [N, 4 * H] LSTM, [N, 4 * H] GRU (n of a^x, r, z, n of a^h) */
  void *d_total;   /* out, with a projection: total dL/dh_t [N, P]; else NULL */
  void *norm_h, *norm_c;             /* out: norms of the total dL/dh_t and dL/dc_t [N]; NULL for none */
  void *d_initial_h, *d_initial_c;   /* out: [B, P], [B, H] */
  void *d_reset_h, *d_reset_c;       /* in and out: added to; NULL without resets */
} tt_backward_arguments;

/* The gates of many rows at once, from their pre-activations: what the forward pass keeps, when it kept only states. */
typedef struct tt_gates_arguments {
  int64_t rows, hidden;
  const void *recurrent; /* a^h, its bias included [rows, G * H] */
  void *gates;           /* in: a^x [rows, G * H]; out: the gates */
  void *extra;           /* out: GRU a^h_n [rows, H]; else NULL */
} tt_gates_arguments;

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

/* The one in use. */
const char *tt_instruction_set(void);

/* Each returns TT_OK or another status; `threads` is the most that may be used. */
#define TT_DECLARE(cell)                                                                    \
  int tt_##cell##_forward_float(const tt_forward_arguments *arguments, int64_t threads);    \
  int tt_##cell##_forward_double(const tt_forward_arguments *arguments, int64_t threads);   \
  int tt_##cell##_backward_float(const tt_backward_arguments *arguments, int64_t threads);  \
  int tt_##cell##_backward_double(const tt_backward_arguments *arguments, int64_t threads); \
  int tt_##cell##_gates_float(const tt_gates_arguments *arguments, int64_t threads);        \
  int tt_##cell##_gates_double(const tt_gates_arguments *arguments, int64_t threads);
TT_DECLARE(elman_tanh)
TT_DECLARE(elman_relu)
TT_DECLARE(elman_identity)
TT_DECLARE(lstm)
TT_DECLARE(gru)
#undef TT_DECLARE

#ifdef __cplusplus
}
#endif

#endif
