"""Equations (1) to (8) of [HSK]: forward pass, softmax, read-out.

[HSK] is "RNN", April 2024. Its W, U, b, V, c are our W_hh, W_ih, b, W_ho, b_o; its Ω_t is our o_t and its ŷ_t our p_t.
`EQUATIONS` also contains the double sums (9) to (14), which hsk_double_sums.py defines.
"""

from dataclasses import replace
from functools import reduce

import torch
from torch import Tensor

from throughtime.lecture_notes.base import Equation, EquationVerdict, Kind, Note, TorchValue, Value
from throughtime.lecture_notes.differentiation import Derivative
from throughtime.lecture_notes.hsk_double_sums import DOUBLE_SUMS
from throughtime.lecture_notes.systems import (
    CLASSES,
    TIME_STEP,
    ElmanSystem,
    cross_entropy,
    gradient,
    logits,
    probabilities,
    softmax_jacobian,
    states,
)
from throughtime.lecture_notes.torch_values import torch_states


def _output(system: ElmanSystem) -> Tensor:
    """Return p_t [classes] at TIME_STEP."""
    return probabilities(system)[TIME_STEP - 1]


def _label(system: ElmanSystem) -> Tensor:
    """Return y_t [classes] at TIME_STEP."""
    return system.labels[TIME_STEP - 1]


def _two_labels(system: ElmanSystem) -> ElmanSystem:
    """Return the network with two ones in each row of the labels, as where two classes are right at once."""
    return replace(system, labels=system.labels + system.labels.roll(1, dims=-1))


def _softmax_by_logits(system: ElmanSystem) -> Derivative:
    return Derivative(lambda values: torch.softmax(values, -1), logits(system)[TIME_STEP - 1])


def _loss_by_logits(system: ElmanSystem) -> Derivative:
    labels = _label(system)
    return Derivative(lambda values: -(labels * torch.log_softmax(values, -1)).sum(), logits(system)[TIME_STEP - 1])


def _squared_error_by_logits(system: ElmanSystem) -> Derivative:
    target = system.targets[TIME_STEP - 1]
    return Derivative(lambda values: (target - torch.softmax(values, -1)).square().sum(), logits(system)[TIME_STEP - 1])


def _softmax(system: ElmanSystem, steps: int) -> Tensor:
    """Return the softmax of o_t for t = 1 … steps by its formula, as [steps, classes]."""
    powers = torch.exp(logits(system)[:steps])
    return powers / powers.sum(dim=-1, keepdim=True)


def _entrywise_loss(system: ElmanSystem) -> Value:
    return -_label(system) * torch.log(_output(system))  # [HSK] (4)


def _summed_loss(system: ElmanSystem) -> Tensor:
    return -(_label(system) @ torch.log(_output(system)))


def _torch_loss(system: ElmanSystem) -> TorchValue:
    value = torch.nn.functional.cross_entropy(logits(system)[TIME_STEP - 1], _label(system))
    return TorchValue(value, "torch.nn.functional.cross_entropy")


def _printed_softmax_jacobian(system: ElmanSystem) -> Tensor:
    return torch.outer(_output(system), 1 - _output(system))  # [HSK] (5), row i, column j


def _squared_error_gradient(system: ElmanSystem, output_by_logits: Tensor) -> Tensor:
    """Return ∂‖d − p‖²/∂o [classes] by the chain rule with a given ∂p/∂o."""
    return -2 * (system.targets[TIME_STEP - 1] - _output(system)) @ output_by_logits


def _fourth_line(system: ElmanSystem) -> Tensor:
    """Return the fourth line of the chain in section 2.2."""
    return -(1 - _output(system)) * _label(system)


def _seventh_line(system: ElmanSystem) -> Tensor:
    """Return the seventh line of the chain in section 2.2."""
    return _output(system) * _output(system) - _label(system)


def _logit_gradient(system: ElmanSystem) -> Tensor:
    """Return ∂L_t/∂o_t for labels of any sum, as [classes]."""
    return _output(system) * _label(system).sum() - _label(system)


def _output_error(system: ElmanSystem) -> Tensor:
    return _output(system) - _label(system)  # [HSK] (6)


def _nested_state(system: ElmanSystem) -> Tensor:
    """Return h_4 [hidden] written as a single expression, as in section 2.5."""
    W, U, b, x = system.weight_hh, system.weight_ih, system.bias, system.inputs
    h_1 = torch.tanh(W @ system.initial_state + U @ x[0] + b)
    return torch.tanh(W @ torch.tanh(W @ torch.tanh(W @ h_1 + U @ x[1] + b) + U @ x[2] + b) + U @ x[3] + b)


def _readout_weight_gradient(system: ElmanSystem) -> Tensor:
    errors, h = probabilities(system) - system.labels, states(system)[1:]
    return reduce(torch.add, [torch.outer(errors[t], h[t]) for t in range(system.steps)])  # [HSK] (7)


def _readout_bias_gradient(system: ElmanSystem) -> Tensor:
    return (probabilities(system) - system.labels).sum(dim=0)  # [HSK] (8)


def _equation(number: str, **rest) -> Equation:
    return Equation(note=Note.HSK, number=number, **rest)


FORWARD = (
    _equation(
        "(1)",
        kind=Kind.DEFINITION,
        statement="h_t = tanh(W_hh h_{t-1} + W_ih x_t + b)",
        printed=lambda system: states(system)[1:],
        reference=lambda system: TorchValue(torch_states(system, "tanh"), "torch.nn.RNN"),
        verdict=EquationVerdict.HOLDS,
        explanation="Equals {source} with the same weights.",
    ),
    _equation(
        "(2)",
        kind=Kind.DEFINITION,
        statement="o_t = W_ho h_t + b_o",
        printed=lambda system: torch.stack([system.weight_ho @ h + system.bias_o for h in states(system)[1:]]),
        reference=lambda system: TorchValue(
            torch.nn.functional.linear(states(system)[1:], system.weight_ho, system.bias_o),
            "torch.nn.functional.linear",
        ),
        verdict=EquationVerdict.HOLDS,
        explanation="Equals {source}.",
    ),
    _equation(
        "(3)",
        kind=Kind.DEFINITION,
        statement="p_t = softmax(o_t)",
        printed=lambda system: _softmax(system, system.steps),
        reference=lambda system: TorchValue(torch.softmax(logits(system), -1), "torch.softmax"),
        verdict=EquationVerdict.HOLDS,
        explanation="Equals {source}.",
    ),
    _equation(
        "2.1 range",
        kind=Kind.DEFINITION,
        statement="p_t = e^{o_t} / Σ_{k=1…K} e^{o_{t,k}} for t = 1 … k",
        printed=lambda system: _softmax(system, CLASSES),
        corrected=lambda system: _softmax(system, system.steps),
        reference=lambda system: TorchValue(torch.softmax(logits(system), -1), "torch.softmax"),
        verdict=EquationVerdict.WRONG_INDEX,
        explanation="k counts classes and t counts steps: read as printed the formula gives {printed_shape} outputs "
        "where there are {reference_shape}; it is for t = 1 … T, component by component.",
    ),
    _equation(
        "(4)",
        kind=Kind.DEFINITION,
        reading="inner product",
        statement="L_t = −y_t ln p_t",
        printed=_summed_loss,
        reference=_torch_loss,
        verdict=EquationVerdict.HOLDS,
        explanation="Equals {source} if the product sums over the classes, −Σ_k y_k ln p_k.",
    ),
    _equation(
        "(4)",
        kind=Kind.DEFINITION,
        reading="entry by entry",
        statement="L_t = −y_t ln p_t",
        printed=_entrywise_loss,
        corrected=_summed_loss,
        reference=_torch_loss,
        verdict=EquationVerdict.WRONG_SHAPE,
        explanation="A product of two vectors entry by entry has shape {printed_shape}, a loss {reference_shape}: the "
        "sum over the classes is not written.",
    ),
)

SOFTMAX = (
    _equation(
        "(5)",
        statement="∂p_i/∂o_j = p_i (1 − p_j)",
        printed=_printed_softmax_jacobian,
        corrected=lambda system: softmax_jacobian(_output(system)),
        reference=_softmax_by_logits,
        verdict=EquationVerdict.INCOMPLETE,
        explanation="Right for i = j only; for i ≠ j it is −p_i p_j, together p_i (δ_ij − p_j).",
    ),
    _equation(
        "(5)",
        reading="used for a squared error",
        statement="∂‖d − p‖²/∂o_j = Σ_i −2 (d_i − p_i) p_i (1 − p_j)",
        printed=lambda system: _squared_error_gradient(system, _printed_softmax_jacobian(system)),
        corrected=lambda system: _squared_error_gradient(system, softmax_jacobian(_output(system))),
        reference=_squared_error_by_logits,
        verdict=EquationVerdict.INCOMPLETE,
        explanation="Under [T]'s loss nothing cancels, so that the wrong off-diagonal reaches every weight.",
    ),
    _equation(
        "2.2 chain",
        reading="fourth line",
        statement="∂L_t/∂o_j = −(1 − p_j) y_j",
        printed=_fourth_line,
        corrected=_logit_gradient,
        reference=_loss_by_logits,
        verdict=EquationVerdict.INCOMPLETE,
        explanation="(5) without its off-diagonal leaves an error at the logit of the true class only.",
    ),
    _equation(
        "2.2 chain",
        reading="seventh line",
        statement="∂L_t/∂o_j = p_j p_j − y_j, then with (?)",
        printed=_seventh_line,
        corrected=_logit_gradient,
        reference=_loss_by_logits,
        verdict=EquationVerdict.WRONG_FACTOR,
        explanation="The factor marked (?) is Σ_i y_i = 1, not an output: Σ_i −(y_i/p_i) p_i (δ_ij − p_j) = "
        "p_j Σ_i y_i − y_j.",
    ),
    _equation(
        "(6)",
        reading="labels that sum to one",
        statement="∂L_t/∂o_t = p_t − y_t",
        printed=_output_error,
        reference=_loss_by_logits,
        verdict=EquationVerdict.HOLDS,
        explanation="The result holds although its derivation does not; the hat on Ω is a misprint.",
    ),
    _equation(
        "(6)",
        reading="labels that sum to two",
        statement="∂L_t/∂o_t = p_t − y_t",
        printed=lambda system: _output_error(_two_labels(system)),
        corrected=lambda system: _logit_gradient(_two_labels(system)),
        reference=lambda system: _loss_by_logits(_two_labels(system)),
        verdict=EquationVerdict.CONDITIONAL,
        explanation="In general ∂L_t/∂o_t = p_t Σ_k y_{{t,k}} − y_t; (6) needs labels that sum to one.",
    ),
)

READ_OUT = (
    _equation(
        "(7)",
        statement="∂L/∂W_ho = Σ_t (p_t − y_t) h_tᵀ",
        printed=_readout_weight_gradient,
        reference=gradient(cross_entropy, "weight_ho"),
        verdict=EquationVerdict.HOLDS,
        explanation="Holds; the note's upper limit S is the T of (8).",
    ),
    _equation(
        "(8)",
        statement="∂L/∂b_o = Σ_t (p_t − y_t)",
        printed=_readout_bias_gradient,
        reference=gradient(cross_entropy, "bias_o"),
        verdict=EquationVerdict.HOLDS,
        explanation="Holds.",
    ),
)

NESTED_STATES = (
    _equation(
        "2.5 h_4",
        kind=Kind.DEFINITION,
        statement="h_4 = tanh(W_hh tanh(W_hh tanh(W_hh tanh(W_hh h_0 + …) + …) + …) + W_ih x_4 + b)",
        printed=_nested_state,
        reference=lambda system: TorchValue(torch_states(system, "tanh")[3], "the fourth state of torch.nn.RNN"),
        verdict=EquationVerdict.HOLDS,
        explanation="Equals {source}.",
    ),
)

EQUATIONS: tuple[Equation, ...] = FORWARD + SOFTMAX + READ_OUT + NESTED_STATES + DOUBLE_SUMS
