"""The operators' counts of operations: those of torch.nn's layers, and of the formulas in the shapes."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import throughtime as tt
from throughtime.kernels import native

pytestmark = pytest.mark.skipif(native.library() is None, reason="the compiled kernels are not installed")

T, B, INPUT, HIDDEN = 7, 3, 6, 5


def counted(run: Any, x: Tensor, hx: Any) -> tuple[int, int]:
    """Operations of the forward pass, and of both passes, with the gradients of everything."""
    with FlopCounterMode(display=False) as counter:
        y, _ = run(x, hx)
        forward = counter.get_total_flops()
        y.sum().backward()
    return forward, counter.get_total_flops()


def state(*sizes: int) -> Any:
    members = tuple(torch.ones(1, B, size, requires_grad=True) for size in sizes)
    return members if len(members) > 1 else members[0]


def traced(layer: nn.Module, x: Tensor, hx: Any) -> Any:
    """The layer in a graph, where each pass is an operator."""
    return torch.export.export(layer, (x, hx)).module()


@pytest.mark.parametrize("name", ["RNN", "GRU"])
def test_as_many_as_torch_counts(name: str):
    x, hx = torch.ones(T, B, INPUT, requires_grad=True), state(HIDDEN)
    layer = getattr(tt, name)(INPUT, HIDDEN)
    expected = counted(layer.to_torch(), x, hx)
    assert counted(traced(layer, x, hx), x, hx) == expected and expected[0] > 0


def test_a_projection_has_its_product_and_indices_have_none():
    layer = tt.LSTM(INPUT, HIDDEN, proj_size=2)
    inputs, recurrent, projection = 4 * HIDDEN * INPUT, 4 * HIDDEN * 2, 2 * HIDDEN
    forward = 2 * T * B * (inputs + recurrent + projection)
    x, hx = torch.ones(T, B, INPUT, requires_grad=True), state(2, HIDDEN)
    assert counted(traced(layer, x, hx), x, hx) == (forward, 3 * forward)
    symbols = torch.zeros(T, B, dtype=torch.int64)
    forward -= 2 * T * B * inputs
    assert counted(traced(layer, symbols, hx), symbols, hx) == (forward, 3 * forward)


def test_gates_that_were_not_kept_are_computed_again():
    x, hx = torch.ones(T, B, INPUT, requires_grad=True), state(HIDDEN)
    for layer, again in ((tt.GRU, 1), (tt.RNN, 0)):
        kept, states = (layer(INPUT, HIDDEN, gradient=tt.BPTT(save=save)) for save in ("gates", "states"))
        forward, both = counted(traced(kept, x, hx), x, hx)
        assert counted(traced(states, x, hx), x, hx) == (forward, both + again * forward)
