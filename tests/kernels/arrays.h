/* What driver.c computes with and compares: arrays of float or double, and the one line that a failure prints. */
#ifndef ARRAYS_H
#define ARRAYS_H

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "throughtime.h"

/* What is being tried, for that line. */
static char problem_tried[128], manner_tried[128];

static void fail(const char *what, const char *of, int64_t index) {
  fprintf(stderr, "%s %s, %s: %s %s (element %" PRId64 ")\n", tt_instruction_set(), problem_tried, manner_tried, of,
          what, index);
  exit(1);
}

static void expect(bool condition, const char *what) {
  if (!condition) fail(what, "", -1);
}

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

#endif
