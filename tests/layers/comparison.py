"""How the tests of the layers compare two computations: one loss over every output, and a distance per tensor."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from oracles import relative
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

EXACT = 1e-12
"""The relative distance that rounding explains in float64: what the layers promise against torch.nn."""

SINGLE = 1e-5
"""Likewise in float32."""


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Standard normal numbers, the same for the same seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def filled(module: nn.Module, seed: int, scale: float = 0.4) -> nn.Module:
    """`module` with every parameter drawn anew, a learned initial state too, so that none of them is zero."""
    with torch.no_grad():
        for index, parameter in enumerate(module.parameters()):
            parameter.copy_(scale * normal(1000 * seed + index, *parameter.shape))
    return module


def weighted_sum(tensors: Mapping[str, Tensor], seed: int) -> Tensor:
    """A loss in which every entry of every tensor has a weight of its own."""
    terms = [
        (value * normal(seed + index, *value.shape, dtype=value.dtype)).sum()
        for index, value in enumerate(tensors.values())
    ]
    return torch.stack(terms).sum()


def call(module: nn.Module, x: Tensor | PackedSequence, hx: tuple[Tensor, ...] | None, **options: Any) -> dict:
    """The module's outputs by name, from a state given as a tuple also where it has one member."""
    state = hx[0] if hx is not None and len(hx) == 1 else hx
    y, final = module(x, state, **options)
    members = final if isinstance(final, tuple) else (final,)
    y = y.data if isinstance(y, PackedSequence) else y
    return {"outputs": y, **{f"final state {i}": member for i, member in enumerate(members)}}


def evaluate(
    module: nn.Module,
    x: Tensor,
    hx: tuple[Tensor, ...] | None,
    *,
    form: Callable[[Tensor], Any] = lambda x: x,
    forward: Callable[..., dict] = call,
    seed: int = 77,
    **options: Any,
) -> dict[str, Tensor]:
    """The outputs and all gradients of their weighted sum, by name; `form` packs the input, `forward` runs it."""
    leaves = {"input": x.detach().clone().requires_grad_()}
    leaves |= {f"hx {i}": member.detach().clone().requires_grad_() for i, member in enumerate(hx or ())}
    state = None if hx is None else tuple(leaves[f"hx {i}"] for i in range(len(hx)))
    results = forward(module, form(leaves["input"]), state, **options)
    leaves |= {name: value for name, value in module.named_parameters() if value.requires_grad}
    gradients = torch.autograd.grad(weighted_sum(results, seed), list(leaves.values()))
    return {**results, **{f"gradient of {name}": g for name, g in zip(leaves, gradients, strict=True)}}


def assert_near(actual: Mapping[str, Tensor], expected: Mapping[str, Tensor], tolerance: float) -> None:
    """Every tensor under the same name, of the same shape and dtype, and within the relative tolerance."""
    assert list(actual) == list(expected)
    assert {k: (v.shape, v.dtype) for k, v in actual.items()} == {k: (v.shape, v.dtype) for k, v in expected.items()}
    far = {name: d for name in expected if not (d := relative(actual[name], expected[name])) <= tolerance}
    assert not far, f"relative distance above {tolerance}: {far}"


def assert_equal(actual: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Bit by bit."""
    assert list(actual) == list(expected)
    different = [name for name in expected if not torch.equal(actual[name], expected[name])]
    assert not different, f"not equal: {different}"
