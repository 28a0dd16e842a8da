"""The recipes of docs/extending.md through the contracts that they teach: cells, a method and a kernel, as printed."""

import pathlib
import re

import pytest
import torch
from contracts import test_gradient_methods as contract
from examples_of import APPROXIMATIONS, CELLS, INPUT, METHODS, parameters_of, states_of
from oracles import relative

import throughtime as tt
from throughtime.cells import FunctionCell, Recurrence
from throughtime.errors import UnsupportedError
from throughtime.gradients import run
from throughtime.sequences import LayerTap, Sequence

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "extending.md"


def _printed() -> dict:
    """The names that the blocks of the page define, down to the kernel; the task after it has tests in tests/runs."""
    names: dict = {"__name__": "extending"}
    torch.manual_seed(1)
    for block in re.findall(r"^```python\n(.*?)^```", PAGE.read_text().split("## A task")[0], re.MULTILINE | re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), names)
        if "values" in names:
            names.setdefault("all_values", {})[len(names["all_values"])] = names.pop("values")
    return names


NAMES = _printed()
RECIPES = {
    "leaky": FunctionCell(NAMES["leaky"], NAMES["all_values"][0], 5, INPUT),
    "decaying": FunctionCell(NAMES["decaying"], NAMES["all_values"][1], 5, INPUT, linear=True, diagonal=True),
    "MinimalCell": NAMES["MinimalCell"](INPUT, 5),
    "FusedElmanCell": NAMES["FusedElmanCell"](INPUT, 5),
}
MASKS = ["plain", "lengths", "resets", "lengths-and-resets"]


@pytest.mark.parametrize("dtype", contract.TOLERANCE, ids=str)
@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("name", RECIPES)
def test_a_cell_of_the_page_is_served_by_every_method(name, method, masks, dtype):
    contract.test_gradients_are_those_of_the_unrolled_loop(RECIPES[name], method, masks, dtype)


@pytest.mark.parametrize("steps", [1, contract.T])
@pytest.mark.parametrize("masks", ["plain", "lengths", "resets"])
@pytest.mark.parametrize(("method", "is_exact"), APPROXIMATIONS.values(), ids=APPROXIMATIONS)
@pytest.mark.parametrize("name", RECIPES)
def test_a_cell_of_the_page_is_served_by_every_approximation(name, method, is_exact, masks, steps):
    contract.test_approximations_are_exact_where_theory_says_so(RECIPES[name], method, is_exact, masks, steps)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("name", RECIPES)
def test_a_cell_of_the_page_has_second_derivatives(name, method):
    contract.test_second_derivatives_are_those_of_the_unrolled_loop(RECIPES[name], method)


@pytest.mark.parametrize("steps", [1, 2, contract.T])
@pytest.mark.parametrize("masks", ["plain", "lengths", "resets"])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_the_method_of_the_page_is_exact_over_one_step(cell, masks, steps):
    method = NAMES["OneStep"]()
    contract.test_approximations_are_exact_where_theory_says_so(cell, method, lambda _, t: t == 1, masks, steps)


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_the_method_of_the_page_is_a_truncation_after_one_step(cell, masks):
    lengths = contract.LENGTHS if "lengths" in masks else None
    resets = contract._resets() if "resets" in masks else None
    results = []
    for method in (NAMES["OneStep"](), tt.TruncatedBPTT(1)):
        torch.manual_seed(3)
        results.append(contract._both(cell, method, torch.float64, lengths, resets)[1])
    for ours, reference in zip(*results, strict=True):
        assert relative(ours, reference) <= 1e-13


def test_the_method_of_the_page_records_in_a_tap_and_computes_no_gradient_of_x_that_nobody_wants():
    cell = CELLS["LSTM"]
    parameters, states, seen = parameters_of(cell), states_of(cell, 2), []
    for method in (NAMES["OneStep"](), tt.TruncatedBPTT(1)):
        tap = LayerTap(("h", "c"))
        x = torch.linspace(-1, 1, 4 * 2 * INPUT, dtype=torch.float64).view(4, 2, INPUT)
        h, _ = run(method, Recurrence(cell, parameters, Sequence(x, states, states)), tap)
        h.square().sum().backward()
        assert x.grad is None
        seen.append(torch.stack(list(tap.norms.values())))
    assert torch.allclose(*seen) and seen[0].any()


def test_the_method_of_the_page_refuses_by_name():
    with pytest.raises(UnsupportedError, match="OneStep never forms the total"):
        tt.RNN(3, 5, gradient=NAMES["OneStep"](clip_step=1.0))
    with pytest.raises(UnsupportedError, match="not the exact gradient"):
        torch.func.grad(lambda x: tt.RNN(3, 5, gradient=NAMES["OneStep"]())(x)[0].sum())(torch.randn(4, 2, 3))
