"""Memory that nobody has written is poisoned in every test: what a kernel leaves out would be seen."""

import pytest
import torch

like = torch.zeros(3, 5)

UNWRITTEN = {
    "empty": lambda dtype: torch.empty(3, 5, dtype=dtype),
    "empty_like": lambda dtype: torch.empty_like(like, dtype=dtype),
    "empty_strided": lambda dtype: torch.empty_strided((3, 5), (1, 3), dtype=dtype),
    "new_empty": lambda dtype: like.new_empty(3, 5, dtype=dtype),
    "new_empty_strided": lambda dtype: like.new_empty_strided((3, 5), (1, 3), dtype=dtype),
    "resize_": lambda dtype: torch.zeros(0, dtype=dtype).resize_(3, 5),
    "Tensor": lambda dtype: torch.Tensor(3, 5).to(dtype),
}


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64], ids=str
)
@pytest.mark.parametrize("name", UNWRITTEN)
def test_floating_point_memory_is_nan(name, dtype):
    assert UNWRITTEN[name](dtype).isnan().all()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64], ids=str)
@pytest.mark.parametrize("name", [name for name in UNWRITTEN if name != "Tensor"])
def test_integer_memory_has_the_largest_value(name, dtype):
    assert (UNWRITTEN[name](dtype) == torch.iinfo(dtype).max).all()


def test_a_result_with_an_element_left_out_is_not_the_right_one():
    result = torch.empty(4)
    result[:3] = 1.0
    assert not torch.equal(result, torch.ones(4)) and not result.sum().isfinite()
