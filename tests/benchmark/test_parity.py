from dataclasses import replace

import pytest
import torch

from throughtime.benchmark.grid import GRID_ITSELF, VARIANTS, Case, Shape
from throughtime.benchmark.parity import FLOOR, distances, relative
from throughtime.benchmark.sides import prepare

SHAPE = Shape(3, 7, 11)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("variant", [GRID_ITSELF, *VARIANTS.values()], ids=lambda variant: variant.name or "grid")
def test_our_layers_are_as_close_as_torch_is(cell, variant):
    found, reference = distances(prepare(Case(cell, SHAPE, variant)))
    assert [one.name for one in found if not one.within] == []
    assert all(tensor.dtype == torch.float64 and not tensor.requires_grad for tensor in reference)
    eps = torch.finfo(torch.float64 if variant.double else torch.float32).eps
    assert all(0 < one.torch < 20 * eps and one.limit < 60 * eps for one in found)


@pytest.mark.parametrize("variant", [GRID_ITSELF, VARIANTS["float64"]], ids=["float32", "float64"])
def test_an_error_of_a_few_more_units_in_one_gradient_is_found(variant):
    prepared = prepare(Case("gru", SHAPE, variant))
    eps = torch.finfo(prepared.ours.x.dtype).eps
    names = prepared.ours.names

    class Slightly(type(prepared.ours)):
        def __call__(self):
            results = super().__call__()
            return tuple(
                tensor * (1 + 60 * eps) if name == "weight_hh_l0" else tensor
                for name, tensor in zip(names, results, strict=True)
            )

    ours = prepared.ours
    wrong = replace(prepared, ours=Slightly(ours.module, ours.x, ours.cotangent, ours.call))
    assert [one.name for one in distances(wrong)[0] if not one.within] == ["weight_hh_l0"]


def test_the_limit_is_that_of_torch_times_one_and_a_half_or_the_floor():
    found, _ = distances(prepare(Case("rnn", SHAPE)))
    eps = torch.finfo(torch.float32).eps
    assert all(one.limit == max(1.5 * one.torch, FLOOR * eps) for one in found)


def test_relative_distance():
    exact = torch.tensor([3.0, 4.0], dtype=torch.float64)
    assert relative(torch.tensor([3.0, 4.5]), exact) == pytest.approx(0.1)
    assert relative(torch.zeros(2), exact) == 1
    assert relative(torch.ones(4), torch.zeros(4, dtype=torch.float64)) == 2
    assert relative(torch.zeros(3), exact) == float("inf")
    assert relative(torch.tensor([3.0, float("nan")]), exact) != relative(torch.zeros(2), exact)
