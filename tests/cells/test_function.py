import math

import pytest
import torch
from examples_of import parameters_of
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
    with pytest.raises(ArgumentError, match=r"returned \[\(1, 8\)\].*have the old one's shapes, \[\(1, 5\)\]"):
        cell.step({}, torch.randn(2, 3), (torch.zeros(2, 5),))


def test_a_function_that_draws_random_numbers_is_refused_because_its_gradient_would_be_wrong():
    cell = FunctionCell(lambda p, x, h: h * torch.rand_like(h) * p["a"], {"a": torch.ones(5)}, 5, 3)
    with pytest.raises(ArgumentError, match="draws random numbers"):
        cell.step(cell.initial_parameters(), torch.randn(2, 3), (torch.zeros(2, 5),))
