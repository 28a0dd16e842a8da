import pytest
import torch
from oracles import relative

from throughtime.gradients.scan import scan


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 9, 31, 100])
@pytest.mark.parametrize("diagonal", [False, True], ids=["dense", "diagonal"])
def test_the_scan_is_the_loop(count, diagonal):
    factors = torch.randn(count - 1, 2, *([3] if diagonal else [3, 3]), dtype=torch.float64)
    terms = torch.randn(count, 2, 3, dtype=torch.float64)
    states = [terms[0]]
    for factor, term in zip(factors, terms[1:], strict=True):
        moved = factor * states[-1] if diagonal else torch.einsum("bij,bj->bi", factor, states[-1])
        states.append(moved + term)
    assert relative(scan(factors, terms), torch.stack(states)) <= 1e-13


class _CountProducts(torch.utils._python_dispatch.TorchDispatchMode):
    """How many pairs of matrices were multiplied, and in how many calls."""

    def __init__(self):
        super().__init__()
        self.pairs = self.calls = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function.overloadpacket is torch.ops.aten.bmm and result.shape[-1] > 1:
            self.pairs, self.calls = self.pairs + result.shape[0], self.calls + 1
        return result


def test_the_work_is_linear_and_the_depth_logarithmic():
    with _CountProducts() as count:
        scan(torch.randn(1023, 1, 3, 3), torch.randn(1024, 1, 3))
    assert count.pairs < 1024 and count.calls <= 10
