"""Every public cell × every public gradient method × dtype × lengths and resets, against autograd over plain loops.

Each entry passes, or is refused by name before any work. An approximation is exact where theory says so.
"""

import pytest
import torch
from examples_of import APPROXIMATIONS, CELLS, INPUT, METHODS, parameters_of, states_of, uncovered
from oracles import relative, unrolled

import throughtime as tt
from throughtime.cells import GRUCell, Recurrence
from throughtime.errors import UnsupportedError
from throughtime.gradients import DoubleSum, run
from throughtime.sequences import Sequence

T, B = 7, 4
LENGTHS = [7, 0, 1, 4]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}


def test_every_public_cell_and_method_is_in_the_matrix():
    assert uncovered() == set()


def _resets() -> torch.Tensor:
    resets = torch.zeros(T, B, dtype=torch.bool)
    resets[0, 3] = resets[2, 0] = resets[5, 0] = resets[3, 3] = True
    return resets


def _both(cell, method, dtype, lengths, resets, steps=T):
    """(names, results of `method`, results of autograd): outputs, final states, then all gradients."""
    parameters = parameters_of(cell, dtype)
    x = torch.randn(steps, B, INPUT, dtype=dtype, requires_grad=True)
    initial, reset_state = states_of(cell, B, dtype), states_of(cell, B, dtype)
    ends = None if lengths is None else torch.tensor(lengths)
    mask = resets if resets is None or ends is None else resets & (torch.arange(steps)[:, None] < ends)
    h, final = run(method, Recurrence(cell, parameters, Sequence(x, initial, reset_state, ends, mask)))
    expected, expected_final, _ = unrolled(
        lambda row, state: cell.step(parameters, row, state), x, initial, reset_state, lengths, resets
    )
    weights = [torch.randn_like(one) for one in (h, *final)]
    wanted = {"x": x, **parameters}
    wanted |= {f"initial_{i}": member for i, member in enumerate(initial)}
    if resets is not None:
        wanted |= {f"reset_{i}": member for i, member in enumerate(reset_state)}

    def all_of(*results):
        loss = sum((w * one).sum() for w, one in zip(weights, results, strict=True))
        gradients = torch.autograd.grad(loss, list(wanted.values()), materialize_grads=True)
        return [*results, *gradients]

    names = ["outputs", *(f"final_{i}" for i in range(len(final))), *wanted]
    return names, all_of(h, *final), all_of(expected, *expected_final)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("masks", ["plain", "lengths", "resets", "lengths-and-resets"])
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_gradients_are_those_of_the_unrolled_loop(cell, method, masks, dtype):
    try:
        method.check(cell)
    except UnsupportedError as refusal:
        assert type(method).__name__ in str(refusal)
        return
    names, ours, reference = _both(
        cell, method, dtype, LENGTHS if "lengths" in masks else None, _resets() if "resets" in masks else None
    )
    distances = {name: relative(a, b) for name, a, b in zip(names, ours, reference, strict=True)}
    assert all(distance <= TOLERANCE[dtype] for distance in distances.values()), distances


@pytest.mark.parametrize("steps", [1, 2, 3, T])
@pytest.mark.parametrize("masks", ["plain", "lengths", "resets"])
@pytest.mark.parametrize(("method", "is_exact"), APPROXIMATIONS.values(), ids=APPROXIMATIONS)
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_approximations_are_exact_where_theory_says_so(cell, method, is_exact, masks, steps):
    try:
        method.check(cell)
    except UnsupportedError as refusal:
        assert type(method).__name__ in str(refusal)
        return
    lengths = [min(length, steps) for length in LENGTHS] if masks == "lengths" else None
    resets = _resets()[:steps] if masks == "resets" else None
    names, ours, reference = _both(cell, method, torch.float64, lengths, resets, steps)
    distances = {name: relative(a, b) for name, a, b in zip(names, ours, reference, strict=True)}
    forward = {name: d for name, d in distances.items() if name.startswith(("outputs", "final"))}
    assert all(distance <= 1e-12 for distance in forward.values()), forward
    assert not is_exact(cell, steps) or max(distances.values()) <= 1e-12, distances


@pytest.mark.parametrize("masks", ["plain", "lengths", "resets"])
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_two_layers_have_the_gradient_of_the_double_sum(cell, method, masks):
    """The cell, and a GRU above it that reads its outputs."""
    above = GRUCell(next(iter(cell.state_sizes.values())), 4)
    x = torch.randn(T, B, INPUT, dtype=torch.float64, requires_grad=True)
    layers = [(one, parameters_of(one), states_of(one, B), states_of(one, B)) for one in (cell, above)]
    ends = torch.tensor(LENGTHS) if masks == "lengths" else None
    resets = _resets() if masks == "resets" else None
    wanted = [x] + [value for _, parameters, initial, _ in layers for value in (*parameters.values(), *initial)]
    weights = torch.randn(T, B, 4, dtype=torch.float64)

    def gradients(method):
        h = x
        for one, parameters, initial, reset_state in layers:
            h, _ = run(method, Recurrence(one, parameters, Sequence(h, initial, reset_state, ends, resets)))
        return torch.autograd.grad((weights * h).sum(), wanted, materialize_grads=True)

    try:
        method.check(cell)
    except UnsupportedError as refusal:
        assert type(method).__name__ in str(refusal)
        return
    for ours, reference in zip(gradients(method), gradients(DoubleSum()), strict=True):
        assert relative(ours, reference) <= 1e-10


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_second_derivatives_are_those_of_the_unrolled_loop(cell, method):
    parameters = parameters_of(cell)
    x = torch.randn(4, 3, INPUT, dtype=torch.float64, requires_grad=True)
    initial, reset_state = states_of(cell, 3), states_of(cell, 3)
    resets = torch.zeros(4, 3, dtype=torch.bool)
    resets[2, 1] = resets[1, 2] = True
    h, final = run(
        method, Recurrence(cell, parameters, Sequence(x, initial, reset_state, torch.tensor([4, 3, 2]), resets))
    )
    expected, expected_final, _ = unrolled(
        lambda row, state: cell.step(parameters, row, state), x, initial, reset_state, [4, 3, 2], resets
    )
    wanted = [x, *initial, *reset_state, *parameters.values()]
    weights = [torch.randn_like(one) for one in (h, *final)]

    def second(*results):
        loss = sum((w * torch.sin(one)).sum() for w, one in zip(weights, results, strict=True))
        first = torch.autograd.grad(loss, wanted, create_graph=True, materialize_grads=True)
        return torch.autograd.grad(sum((g**2).sum() for g in first), wanted, materialize_grads=True)

    for ours, reference in zip(second(h, *final), second(expected, *expected_final), strict=True):
        assert relative(ours, reference) <= 1e-11


def _steps():
    return torch.randn(T, B, INPUT, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


FORMS = {
    "lengths-and-resets": lambda: ((_steps(),), {"lengths": LENGTHS, "resets": _resets() & _valid()}),
    "packed": lambda: ((torch.nn.utils.rnn.pack_padded_sequence(_steps(), [7, 2, 5, 1], enforce_sorted=False),), {}),
    "indices": lambda: ((torch.arange(T * B).view(T, B) % INPUT,), {"lengths": LENGTHS}),
    "one row without steps": lambda: ((_steps()[:, :1],), {"lengths": [0]}),
    "no rows": lambda: ((_steps()[:, :0],), {}),
}


def _valid():
    return torch.arange(T)[:, None] < torch.tensor(LENGTHS)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_stacks_in_both_directions_have_one_gradient(method, form):
    options = {"num_layers": 2, "bidirectional": True, "learn_initial_state": True, "dtype": torch.float64}
    layers = [tt.LSTM(INPUT, 5, gradient=one, **options) for one in (method, tt.BPTT())]
    with torch.no_grad():
        for parameter, twin in zip(*(layer.parameters() for layer in layers), strict=True):
            twin.copy_(parameter.normal_(std=0.4))
    arguments, masks = FORMS[form]()
    for layer in layers:
        y, final = layer(*arguments, **masks)
        sum((one**2).sum() for one in (y.data if isinstance(arguments[0], tuple) else y, *final)).backward()
    for parameter, twin in zip(*(layer.parameters() for layer in layers), strict=True):
        assert relative(parameter.grad, twin.grad) <= 1e-12
