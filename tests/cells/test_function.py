import math

import pytest
import torch
from examples_of import CELLS, INPUT, parameters_of, states_of
from oracles import relative

from throughtime.cells import ElmanCell, FunctionCell
from throughtime.errors import ArgumentError


def test_a_function_that_is_an_elman_step_has_its_derivatives():
    closed = ElmanCell(3, 5)
    values = parameters_of(closed)
    free = FunctionCell(
        lambda p, x, h: torch.tanh(x @ p["weight_ih"].T + p["bias_ih"] + h @ p["weight_hh"].T + p["bias_hh"]),
        values,
        5,
        input_size=3,
    )
    x, h = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    assert relative(free.state_jacobian(values, x, (h,)), closed.state_jacobian(values, x, (h,))) <= 1e-14
    ours, reference = free.immediate_derivative(values, x, (h,)), closed.immediate_derivative(values, x, (h,))
    for name in values:
        assert relative(ours[name], reference[name]) <= 1e-14


def test_the_logistic_map_as_a_cell_has_exponent_ln_2():
    """h' = 4h(1 − h) on the orbit of sin²: the mean of ln|∂h'/∂h| along it tends to ln 2."""
    logistic = FunctionCell(lambda p, x, h: p["r"] * h * (1 - h), {"r": torch.tensor(4.0, dtype=torch.float64)}, 1, 1)
    parameters, x = logistic.initial_parameters(), torch.zeros(4096, 1, dtype=torch.float64)
    angles = (torch.arange(4096, dtype=torch.float64)[:, None] + 0.5) / 4096 * math.pi / 2  # the invariant density
    growth = logistic.state_jacobian(parameters, x, (torch.sin(angles) ** 2,)).abs().log().mean()
    assert growth.item() == pytest.approx(math.log(2), abs=1e-3)


def test_a_captured_trainable_tensor_is_refused_because_its_gradient_would_be_lost():
    outside = torch.randn(5, 3, requires_grad=True)
    cell = FunctionCell(lambda p, x, h: torch.tanh(x @ outside.T + p["a"] * h), {"a": torch.tensor(0.5)}, 5, 3)
    with pytest.raises(ArgumentError, match="not among its parameters"):
        cell.step(cell.initial_parameters(), torch.randn(2, 3), (torch.zeros(2, 5),))


def test_a_function_that_changes_the_shape_of_the_state_is_refused_with_both_shapes():
    cell = FunctionCell(lambda p, x, h: torch.cat((h, x), dim=-1), {}, 5, 3)
    with pytest.raises(ArgumentError, match=r"returned \[\(1, 8\)\].*have the old state's shapes, \[\(1, 5\)\]"):
        cell.step({}, torch.randn(2, 3), (torch.zeros(2, 5),))


def test_a_function_that_draws_random_numbers_is_refused_because_its_gradient_would_be_wrong():
    cell = FunctionCell(lambda p, x, h: h * torch.rand_like(h) * p["a"], {"a": torch.ones(5)}, 5, 3)
    with pytest.raises(ArgumentError, match="draws random numbers"):
        cell.step(cell.initial_parameters(), torch.randn(2, 3), (torch.zeros(2, 5),))


MIXES = {"w": torch.eye(5) + 0.1}


@pytest.mark.parametrize(
    ("step", "claims", "message"),
    [
        (lambda p, x, h: torch.tanh(h) + x.sum(), {"linear": True}, "linear is True.*depends on the state"),
        (lambda p, x, h: torch.relu(h), {"linear": True, "diagonal": True}, "linear is True"),
        (lambda p, x, h: h @ p["w"], {"diagonal": True}, "diagonal is True.*depends on another entry"),
        (lambda p, x, h: torch.tanh(h.roll(1, -1)), {"diagonal": True}, "diagonal is True"),
    ],
)
def test_a_false_claim_is_refused_by_name(step, claims, message):
    cell = FunctionCell(step, MIXES, 5, 3, **claims)
    with pytest.raises(ArgumentError, match=message):
        cell.step(cell.initial_parameters(), torch.randn(2, 3), (torch.zeros(2, 5),))


@pytest.mark.parametrize(
    ("step", "claims"),
    [
        (lambda p, x, h: h @ p["w"] * x.sum(-1, keepdim=True) + x.sum(), {"linear": True}),
        (lambda p, x, h: torch.tanh(h) * p["w"][0], {"diagonal": True}),
        (lambda p, x, h: 0.5 * h + p["w"][1], {"linear": True, "diagonal": True}),
    ],
)
def test_a_claim_that_holds_passes_and_draws_no_random_numbers(step, claims):
    cell = FunctionCell(step, MIXES, 5, 3, **claims)
    before = torch.get_rng_state()
    cell.step(cell.initial_parameters(), torch.ones(2, 3), (torch.zeros(2, 5),))
    assert torch.equal(before, torch.get_rng_state())
    assert {name: getattr(cell, name) for name in claims} == claims


def test_a_false_claim_about_two_members_is_found_between_them():
    cell = FunctionCell(lambda p, x, s: (s[0] + s[1], s[1]), {}, {"h": 2, "v": 2}, 3, diagonal=True)
    with pytest.raises(ArgumentError, match="diagonal is True"):
        cell.step({}, torch.randn(2, 3), (torch.zeros(2, 2),) * 2)


def test_a_cell_that_says_no_more_shows_its_state_without_a_range():
    cell = CELLS["function-two-members"]
    parameters, x, state = parameters_of(cell), torch.randn(4, INPUT, dtype=torch.float64), states_of(cell, 4)
    activations = cell.activations(parameters, x, state)
    assert [(one.name, one.role, one.low, one.high) for one in activations] == [
        ("h", "content", -math.inf, math.inf),
        ("v", "content", -math.inf, math.inf),
    ]
    for one, member in zip(activations, cell.step(parameters, x, state), strict=True):
        assert torch.equal(one.values, member) and one.preactivation is None
