import math

import pytest
import torch

from throughtime.sequences.row_norms import row_norm

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)


@DTYPES
def test_squares_neither_overflow_nor_underflow(dtype):
    large, small = torch.finfo(dtype).max / 4, torch.finfo(dtype).tiny
    rows = torch.tensor([[3.0, 4.0], [3.0 * large, 4.0 * large / 2], [3 * small, 4 * small], [0.0, 0.0]], dtype=dtype)
    norms = row_norm((rows[:, :1], rows[:, 1:]))
    expected = torch.tensor([5.0, 13**0.5 * large, 5 * small, 0.0], dtype=torch.float64)
    torch.testing.assert_close(norms.double(), expected, rtol=2 * torch.finfo(dtype).eps, atol=0)


@DTYPES
def test_numbers_below_the_normal_ones_have_a_norm(dtype):
    step = torch.finfo(dtype).tiny * torch.finfo(dtype).eps
    rows = torch.tensor([[3 * step, 4 * step], [0.0, step]], dtype=dtype)
    assert row_norm((rows,)).double().tolist() == [5 * step, step]


@DTYPES
def test_a_norm_beyond_the_range_is_the_largest_number_and_only_entries_are_infinite(dtype):
    most = torch.finfo(dtype).max
    rows = torch.tensor([[most, most], [most, math.inf], [-math.inf, 1.0], [math.nan, math.inf]], dtype=dtype)
    assert row_norm((rows,)).double().nan_to_num(7.0, 8.0).tolist() == [most, 8.0, 8.0, 7.0]


def test_any_axes_before_the_last_are_rows():
    steps = torch.randn(3, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(row_norm((steps,)), steps.square().sum(-1).sqrt(), rtol=1e-14, atol=0)
    assert row_norm((steps[..., :0],)).tolist() == [[0.0] * 4] * 3
