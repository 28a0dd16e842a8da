"""Equations of [T], "Training RNNs", lecture notes without equation numbers.

The note writes vectors as rows, this project as columns: its W_x, W_s, W_y are our W_ihᵀ, W_hhᵀ, W_hoᵀ, and its x̄_t,
s̄_t, ȳ_t, d̄_t are our x_t, h_t, p_t and the targets d_t. Its network has no biases. Its loss is the squared error of the
softmax, E_N at the last step N = T.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import reduce

import torch
from torch import Tensor

from throughtime.lecture_notes.base import Equation, EquationVerdict, Kind, Note, TorchValue, Value, literal_product
from throughtime.lecture_notes.chains import (
    StateDerivative,
    immediate_derivative,
    jacobian_product,
    state_jacobian,
    total_derivative,
)
from throughtime.lecture_notes.differentiation import Derivative
from throughtime.lecture_notes.experiments import EXPERIMENTS
from throughtime.lecture_notes.systems import (
    ElmanSystem,
    gradient,
    last_squared_error,
    logits,
    probabilities,
    softmax_jacobian,
    states,
    tanh_slopes,
    without_biases,
)
from throughtime.lecture_notes.torch_values import torch_states

WINDOW = 3
"""Steps between two updates, the N of "updating weights every N steps"; a divisor of T = 6."""


def _gradient_reference(parameter: str) -> Callable[[ElmanSystem], Derivative]:
    return lambda system: gradient(last_squared_error, parameter)(without_biases(system))


def _row_states(system: ElmanSystem) -> Tensor:
    """Return s̄_1 … s̄_T by the formula for rows, as [time, hidden]."""
    W_x, W_s = system.weight_ih.T, system.weight_hh.T
    rows = [system.initial_state[None]]
    for x in system.inputs:
        rows.append(torch.tanh(x[None] @ W_x + rows[-1] @ W_s))
    return torch.cat(rows[1:])


def _row_outputs(system: ElmanSystem) -> Tensor:
    """Return ȳ_1 … ȳ_T by the formula for rows, as [time, classes]."""
    powers = torch.exp(_row_states(system) @ system.weight_ho.T)
    return powers / powers.sum(dim=-1, keepdim=True)


def _squared_error(system: ElmanSystem) -> Tensor:
    difference = system.targets[-1] - probabilities(without_biases(system))[-1]
    return difference @ difference


def _torch_squared_error(reduction: str) -> Callable[[ElmanSystem], TorchValue]:
    def reference(system: ElmanSystem) -> TorchValue:
        outputs = probabilities(without_biases(system))[-1]
        value = torch.nn.functional.mse_loss(outputs, system.targets[-1], reduction=reduction)
        return TorchValue(value, f"torch.nn.functional.mse_loss(reduction='{reduction}')")

    return reference


def _error_row(system: ElmanSystem) -> Tensor:
    """Return ∂E_N/∂ȳ_N [classes]."""
    return -2 * (system.targets[-1] - probabilities(system)[-1])


def _output_jacobian(system: ElmanSystem) -> Tensor:
    """Return ∂ȳ_N/∂s̄_N in the numerator layout, as [classes, hidden]."""
    return softmax_jacobian(probabilities(system)[-1]) @ system.weight_ho


def _readout_gradient(system: ElmanSystem) -> Tensor:
    network = without_biases(system)
    by_logits = _error_row(network) @ softmax_jacobian(probabilities(network)[-1])
    return torch.outer(by_logits, states(network)[-1])  # [T] ∂E_N/∂W_y


def _sum_over_steps(parameter: str, derivative: StateDerivative) -> Callable[[ElmanSystem], Tensor]:
    """Return Σ_i ∂E_N/∂ȳ_N · ∂ȳ_N/∂s̄_i · ∂s̄_i/∂W, where ∂ȳ_N/∂s̄_i is total.

    `derivative` says which ∂s̄_i/∂W is meant.
    """

    def value(system: ElmanSystem) -> Tensor:
        network, last = without_biases(system), system.steps
        front = _error_row(network) @ _output_jacobian(network)
        terms = [
            front @ jacobian_product(network, i + 1, last, "latest first") @ derivative(network, i, parameter)
            for i in range(1, last + 1)
        ]
        return reduce(torch.add, terms).reshape(getattr(network, parameter).shape)  # [T] ∂E_N/∂W_s, ∂E_N/∂W_x

    return value


def _sum_of_three_steps(parameter: str) -> Callable[[ElmanSystem], Tensor]:
    """Return the sum of the three terms that the note writes out for E_3."""

    def value(system: ElmanSystem) -> Tensor:
        network = without_biases(_first_steps(system, 3))
        front = _error_row(network) @ _output_jacobian(network)
        by_2 = state_jacobian(network, 3)
        by_1 = by_2 @ state_jacobian(network, 2)
        result = front @ immediate_derivative(network, 3, parameter)
        result = result + front @ by_2 @ immediate_derivative(network, 2, parameter)
        result = result + front @ by_1 @ immediate_derivative(network, 1, parameter)
        return result.reshape(getattr(network, parameter).shape)

    return value


def _term_of_last_step(parameter: str) -> Callable[[ElmanSystem], Tensor]:
    """Return the term i = N, all that is left if ∂ȳ_N/∂s̄_i is immediate: the formula of ȳ_N contains s̄_N alone."""

    def value(system: ElmanSystem) -> Tensor:
        network = without_biases(system)
        row = _error_row(network) @ _output_jacobian(network) @ immediate_derivative(network, network.steps, parameter)
        return row.reshape(getattr(network, parameter).shape)

    return value


def _first_steps(system: ElmanSystem, steps: int) -> ElmanSystem:
    """Return the network with the data of the first steps only."""
    return replace(system, inputs=system.inputs[:steps], labels=system.labels[:steps], targets=system.targets[:steps])


def _all_squared_errors(system: ElmanSystem) -> Tensor:
    """Return Σ_t E_t."""
    return (system.targets - probabilities(system)).square().sum()


def _windows(system: ElmanSystem) -> Iterator[ElmanSystem]:
    """Cut the data into windows of WINDOW steps. Each starts from the final state of the window before."""
    h = states(system)
    for start in range(0, system.steps, WINDOW):
        part = slice(start, start + WINDOW)
        cut = {name: getattr(system, name)[part] for name in ("inputs", "labels", "targets")}
        yield replace(system, initial_state=h[start], **cut)


def _truncated_gradient(system: ElmanSystem) -> Tensor:
    """Return ∂W_hh summed over the windows, where no backward pass leaves its window."""
    network = without_biases(system)
    parts = [_backward_pass(window, torch.zeros_like(window.initial_state))[0] for window in _windows(network)]
    return reduce(torch.add, parts)


def _exact_gradient(system: ElmanSystem) -> Tensor:
    """Return ∂W_hh summed over the windows, where each passes dE/dh of its initial state to the window before."""
    network = without_biases(system)
    arriving, result = torch.zeros_like(network.initial_state), torch.zeros_like(network.weight_hh)
    for window in reversed(list(_windows(network))):
        part, arriving = _backward_pass(window, arriving)
        result = result + part
    return result


def _backward_pass(system: ElmanSystem, arriving: Tensor) -> tuple[Tensor, Tensor]:
    """Return ∂E/∂W_hh of a window [hidden, hidden], and dE/dh of its initial state [hidden].

    `arriving` is dE/dh of the last state of the window through the losses of later windows [hidden].
    """
    h, outputs, slopes = states(system), probabilities(system), tanh_slopes(system)
    result = torch.zeros_like(system.weight_hh)
    for t in range(system.steps, 0, -1):
        output = outputs[t - 1]
        by_logits = softmax_jacobian(output) @ (2 * (output - system.targets[t - 1]))
        by_preactivation = slopes[t] * (arriving + system.weight_ho.T @ by_logits)
        result = result + torch.outer(by_preactivation, h[t - 1])
        arriving = system.weight_hh.T @ by_preactivation
    return result, arriving


def _equation(number: str, **rest) -> Equation:
    return Equation(note=Note.T, number=number, **rest)


FORWARD = (
    _equation(
        "state",
        kind=Kind.DEFINITION,
        statement="s̄_t = tanh(x̄_t W_ihᵀ + s̄_{t-1} W_hhᵀ), rows",
        printed=_row_states,
        reference=lambda system: TorchValue(torch_states(without_biases(system), "tanh"), "torch.nn.RNN"),
        verdict=EquationVerdict.HOLDS,
        explanation="Equals {source} with zero biases.",
    ),
    _equation(
        "output",
        kind=Kind.DEFINITION,
        statement="p_t = softmax(s̄_t W_hoᵀ), rows",
        printed=_row_outputs,
        reference=lambda system: TorchValue(torch.softmax(logits(without_biases(system)), -1), "torch.softmax"),
        verdict=EquationVerdict.HOLDS,
        explanation="Equals {source}.",
    ),
    _equation(
        "error",
        kind=Kind.DEFINITION,
        reading="sum of squares",
        statement="E_t = (d̄_t − p_t)²",
        printed=_squared_error,
        reference=_torch_squared_error("sum"),
        verdict=EquationVerdict.HOLDS,
        explanation="Equals {source} if the square of a vector is its squared norm.",
    ),
    _equation(
        "error",
        kind=Kind.DEFINITION,
        reading="“MSE”",
        statement="E_t = (d̄_t − p_t)², called the MSE",
        printed=_squared_error,
        corrected=lambda system: _squared_error(system) / system.targets.shape[1],
        reference=_torch_squared_error("mean"),
        verdict=EquationVerdict.WRONG_SCALE,
        explanation="A mean divides by the K = 5 components; without it the value is off by {printed_automatic:.1f} "
        "times itself from {source}, and so is every gradient.",
    ),
)


def _sums_over_steps(number: str, name: str, parameter: str) -> Iterator[Equation]:
    """Yield the readings of ∂E_N/∂W_s or ∂E_N/∂W_x; `name` is the symbol of the parameter here."""
    general = f"∂E_N/∂{name} = Σ_{{i≤N}} ∂E_N/∂p_N · ∂p_N/∂h_i · ∂h_i/∂{name}"
    correct = _sum_over_steps(parameter, immediate_derivative)
    yield _equation(
        f"{number}, N = 3",
        statement=f"∂E_3/∂{name} written out for i = 3, 2, 1",
        printed=_sum_of_three_steps(parameter),
        reference=lambda system: _gradient_reference(parameter)(_first_steps(system, 3)),
        verdict=EquationVerdict.HOLDS,
        explanation=f"Holds with ∂h_i/∂{name} at fixed h_{{{{i−1}}}} and Jacobians in the numerator layout.",
    )
    yield _equation(
        number,
        reading="total, then immediate",
        statement=general,
        printed=correct,
        reference=_gradient_reference(parameter),
        verdict=EquationVerdict.HOLDS,
        explanation=f"Holds if ∂p_N/∂h_i goes through all steps between and ∂h_i/∂{name} holds h_{{{{i−1}}}} fixed.",
    )
    yield _equation(
        number,
        reading="both total",
        statement=general,
        printed=_sum_over_steps(parameter, total_derivative),
        corrected=correct,
        reference=_gradient_reference(parameter),
        verdict=EquationVerdict.DOUBLE_COUNTS,
        explanation="With both derivatives taken through all earlier steps the sum over i counts each path as often as "
        "it has steps.",
    )
    yield _equation(
        number,
        reading="both immediate",
        statement=general,
        printed=_term_of_last_step(parameter),
        corrected=correct,
        reference=_gradient_reference(parameter),
        verdict=EquationVerdict.INCOMPLETE,
        explanation="p_N's own formula contains h_N only: then every term but i = N is zero.",
    )


def _row_layout_chain(system: ElmanSystem) -> Value:
    """Return ∂E/∂ȳ · ∂ȳ/∂s̄_N · ∂s̄_N/∂s̄_{N−1} with the matrices of the row layout.

    There a derivative is the matrix M by which a small change, a row, is multiplied from the right.
    """
    network = without_biases(system)
    output, slope = probabilities(network)[-1], tanh_slopes(network)[-1]
    by_state = network.weight_ho.T @ softmax_jacobian(output)
    by_earlier_state = network.weight_hh.T @ torch.diag(slope)
    return literal_product([_error_row(network)[None], by_state, by_earlier_state])


GRADIENTS = (
    _equation(
        "∂E_N/∂W_y",
        statement="∂E_N/∂W_ho = ∂E_N/∂p_N · ∂p_N/∂W_ho",
        printed=_readout_gradient,
        reference=_gradient_reference("weight_ho"),
        verdict=EquationVerdict.HOLDS,
        explanation="Holds with the full softmax Jacobian diag p − p pᵀ.",
    ),
    *_sums_over_steps("∂E_N/∂W_s", "W_hh", "weight_hh"),
    *_sums_over_steps("∂E_N/∂W_x", "W_ih", "weight_ih"),
    _equation(
        "chain of rows",
        statement="∂E/∂p · ∂p/∂h · ∂h/∂h … with the matrices of the row convention, ds̄_t = ds̄_{t-1} (W_hhᵀ D_t)",
        printed=_row_layout_chain,
        corrected=_sum_over_steps("weight_hh", immediate_derivative),
        reference=_gradient_reference("weight_hh"),
        verdict=EquationVerdict.WRONG_SHAPE,
        explanation="In the note's own row layout the factors do not multiply in the printed order, {printed_shape}: "
        "there the latest step stands on the right, or the Jacobians are transposed.",
    ),
    _equation(
        "every N steps",
        statement="weights updated every N steps, here N = 3 of T = 6: ∂W_hh summed over windows with a carried state",
        printed=_truncated_gradient,
        corrected=_exact_gradient,
        reference=lambda system: gradient(_all_squared_errors, "weight_hh")(without_biases(system)),
        verdict=EquationVerdict.APPROXIMATE,
        explanation="Cutting the backward pass at the window's edge drops what earlier steps owe to later windows; "
        "handing dE/dh back across the edge gives the exact sum.",
    ),
)

EQUATIONS: tuple[Equation, ...] = FORWARD + GRADIENTS + EXPERIMENTS
