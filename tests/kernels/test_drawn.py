"""The fused recurrence against the loop on whatever hypothesis draws: sizes, masks, forms, threads."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.test_compiled import FORMS, KINDS, MASKS, _assert_equal_to_the_loop, _in_form, _sequence

from throughtime.kernels import native

pytestmark = pytest.mark.skipif(native.library() is None, reason="the compiled kernels are not installed")

SHAPES = st.tuples(st.integers(1, 60), st.integers(1, 20), st.integers(1, 40), st.integers(3, 90))
"""Steps, rows, inputs, units."""


@settings(max_examples=250, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    shape=SHAPES,
    masks=st.sampled_from(MASKS),
    form=st.sampled_from(["", *FORMS]),
    save=st.sampled_from(["gates", "states"]),
    clip_step=st.sampled_from([None, 0.7]),
    threads=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_kernel_is_the_loop(kind, shape, masks, form, save, clip_step, threads, seed):
    before = torch.get_num_threads()
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    try:
        cell = KINDS[kind](shape[2], shape[3])
        sequence = _in_form(_sequence(cell, shape, masks, torch.float64), form, shape[2])
        _assert_equal_to_the_loop(cell, shape, masks, torch.float64, clip_step, save, sequence)
    finally:
        torch.set_num_threads(before)
