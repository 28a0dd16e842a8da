import pytest
import torch

from throughtime.benchmark import sides
from throughtime.benchmark.grid import GRID_ITSELF, VARIANTS, Case, Shape
from throughtime.benchmark.parity import relative
from throughtime.benchmark.sides import prepare
from throughtime.benchmark.unrolled import Unrolled
from throughtime.gradients import BPTT

SHAPE = Shape(3, 7, 11)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("variant", [GRID_ITSELF, *VARIANTS.values()], ids=lambda variant: variant.name or "grid")
def test_both_sides_compute_the_same(cell, variant):
    prepared = prepare(Case(cell, SHAPE, variant))
    theirs = prepared.torch.in_dtype(torch.float64)()
    ours = prepared.ours.in_dtype(torch.float64)()
    assert len(ours) == len(theirs) == len(prepared.ours.names) == 2 + 4 * variant.layers * (1 + variant.bidirectional)
    for name, one, other in zip(prepared.ours.names, ours, theirs, strict=True):
        assert other.any(), name
        assert relative(one, other) < 1e-13, name


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("variant", [GRID_ITSELF, *VARIANTS.values()], ids=lambda variant: variant.name or "grid")
def test_a_cell_that_torch_does_not_have_is_checked_against_a_plain_loop(cell, variant, monkeypatch):
    known = prepare(Case(cell, SHAPE, variant))
    monkeypatch.delitem(sides.TORCH, cell)
    prepared = prepare(Case(cell, SHAPE, variant))
    assert isinstance(prepared.torch.module, Unrolled) and not prepared.torch_has_it
    assert prepared.tokens == known.tokens and (prepared.plain is None) == (known.plain is None)
    method = prepared.ours.module.gradient
    assert method == (BPTT(save="states") if variant.states else BPTT())
    ours, theirs = prepared.ours.in_dtype(torch.float64)(), prepared.torch.in_dtype(torch.float64)()
    for name, one, other, expected in zip(
        prepared.ours.names, ours, theirs, known.ours.in_dtype(torch.float64)(), strict=True
    ):
        assert other.any() and relative(one, other) < 1e-13, name
        assert torch.equal(one, expected), name  # the same parameters are drawn as torch.nn draws


def test_a_problem_is_the_same_every_time_and_leaves_the_generator_alone():
    before = torch.get_rng_state()
    first, second = (prepare(Case("gru", SHAPE)) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    for one, other in zip(
        (*first.ours.leaves, first.ours.cotangent), (*second.torch.leaves, second.torch.cotangent), strict=True
    ):
        assert torch.equal(one, other)


def test_lengths_are_drawn_between_a_quarter_and_all():
    prepared = prepare(Case("gru", Shape(200, 2, 41), VARIANTS["packed"]))
    assert prepared.tokens == len(prepared.ours.x) == len(prepared.torch.x)
    assert prepared.plain is not None and prepared.plain.x.shape == (41, 200, 2)
    assert 0.55 < prepared.tokens / (41 * 200) < 0.7  # 25.5 of 41 on average


def test_resets_change_the_result_and_torch_is_not_timed_on_them():
    prepared = prepare(Case("gru", SHAPE, VARIANTS["resets"]))
    assert not prepared.torch_has_it and prepared.plain is not None
    assert relative(prepared.ours.forward(), prepared.plain.forward().double()) > 1e-3


@pytest.mark.parametrize(
    ("variant", "layers", "width", "dtype", "features"),
    [
        (GRID_ITSELF, 1, 7, torch.float32, 7),
        (VARIANTS["layers"], 2, 7, torch.float32, 7),
        (VARIANTS["bidirectional"], 1, 14, torch.float32, 7),
        (VARIANTS["float64"], 1, 7, torch.float64, 7),
        (VARIANTS["input1"], 1, 7, torch.float32, 1),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_what_the_variants_change(variant, layers, width, dtype, features):
    prepared = prepare(Case("lstm", SHAPE, variant))
    assert prepared.torch_has_it and prepared.plain is None and prepared.tokens == 33
    for side in (prepared.ours, prepared.torch):
        assert side.module.num_layers == layers
        assert side.forward().shape == (11, 3, width)
        assert side.x.dtype == dtype and side.x.shape[-1] == features
