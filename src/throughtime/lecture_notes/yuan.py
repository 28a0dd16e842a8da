"""Equations of [Y]: the recursion (1), its solution, and the linear network.

[Y] is Kun Yuan, "Back Propagation in Recurrent Neural Network", 2024.

θ_h is (W_ih, W_hh, b) as a single vector. The derivatives a_t = ∂h_t/∂θ_h, b_t = ∂f/∂θ_h and c_t = ∂f/∂h_{t-1} are in
the numerator layout, in which the note's products multiply. The note leaves the loss L open; the measurements use
F = (1/T) Σ_t ‖ŷ_t − y_t‖² with ŷ_t = W_ho h_t + b_o. The claims on eigenvalues stand in spectra.py.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import reduce

import torch
from torch import Tensor

from throughtime.lecture_notes.base import Equation, EquationVerdict, Kind, Note, TorchValue
from throughtime.lecture_notes.chains import Order, immediate_derivative, jacobian_product, state_jacobian
from throughtime.lecture_notes.differentiation import Derivative
from throughtime.lecture_notes.spectra import EIGENVALUE_CLAIMS
from throughtime.lecture_notes.systems import ElmanSystem, gradient, linear, logits, mean_squared_error, states
from throughtime.lecture_notes.torch_values import torch_states

HIDDEN_PARAMETERS = ("weight_ih", "weight_hh", "bias")
"""The tensors in θ_h, in their order."""


def _vector(system: ElmanSystem) -> Tensor:
    """Return θ_h as a vector."""
    return torch.cat([getattr(system, name).flatten() for name in HIDDEN_PARAMETERS])


def _with_vector(system: ElmanSystem, flat: Tensor) -> ElmanSystem:
    """Return the network with the θ_h that a vector holds."""
    parts = flat.split([getattr(system, name).numel() for name in HIDDEN_PARAMETERS])
    pairs = zip(HIDDEN_PARAMETERS, parts, strict=True)
    return replace(system, **{name: part.reshape(getattr(system, name).shape) for name, part in pairs})


def _states_by_parameters(system: ElmanSystem) -> Derivative:
    return Derivative(lambda flat: states(_with_vector(system, flat))[1:], _vector(system))


def _states_by_initial_state(system: ElmanSystem) -> Derivative:
    return Derivative(lambda state: states(replace(system, initial_state=state))[1:], system.initial_state)


def _loss_by_hidden_parameters(system: ElmanSystem) -> Derivative:
    return Derivative(lambda flat: mean_squared_error(_with_vector(system, flat)), _vector(system))


def _b(system: ElmanSystem, t: int) -> Tensor:
    """Return b_t = ∂f(x_t, h_{t-1}; θ_h)/∂θ_h with h_{t-1} held fixed, as [hidden, elements of θ_h]."""
    return torch.cat([immediate_derivative(system, t, name) for name in HIDDEN_PARAMETERS], dim=1)


def _output_errors(system: ElmanSystem) -> Tensor:
    """Return ∂L(ŷ_t, y_t)/∂ŷ_t for all steps, as [time, classes]."""
    return 2 * (logits(system) - system.targets)


def _derivatives_by_recursion(system: ElmanSystem) -> Tensor:
    """Return a_1 … a_T by (1), as [time, hidden, elements of θ_h]."""
    a = torch.zeros_like(_b(system, 1))
    rows = []
    for t in range(1, system.steps + 1):
        a = _b(system, t) + state_jacobian(system, t) @ a  # [Y] (1)
        rows.append(a)
    return torch.stack(rows)


def _derivatives_by_solution(system: ElmanSystem, order: Order) -> Tensor:
    """Return a_1 … a_T by the solution of (1), as [time, hidden, elements of θ_h]."""
    rows = []
    for t in range(1, system.steps + 1):
        earlier = [jacobian_product(system, i + 1, t, order) @ _b(system, i) for i in range(1, t)]
        rows.append(reduce(torch.add, earlier, _b(system, t)))  # [Y] after (1)
    return torch.stack(rows)


def _initial_state_term(system: ElmanSystem) -> Tensor:
    """Return c_t … c_1 a_0 for all steps, as [time, hidden, hidden].

    This is a_t for a θ_h that consists of h_0: then b_t is zero and a_0 the identity.
    """
    return torch.stack([jacobian_product(system, 1, t, "latest first") for t in range(1, system.steps + 1)])


def _gradient_by_chain(system: ElmanSystem) -> Tensor:
    """Return ∂F/∂θ_h by the chain rule with the a_t of (1), as a vector."""
    errors, by_parameters = _output_errors(system), _derivatives_by_recursion(system)
    terms = [errors[t] @ system.weight_ho @ by_parameters[t] for t in range(system.steps)]
    return reduce(torch.add, terms) / system.steps


def _output_gradient(system: ElmanSystem) -> Tensor:
    """Return ∂F/∂W_ho [classes, hidden]."""
    return _output_errors(system).T @ states(system)[1:] / system.steps


def _linear_gradient(right: Callable[[ElmanSystem, int], Tensor]) -> Callable[[ElmanSystem], Tensor]:
    """Return (1/T) Σ_t Σ_{i≤t} (W_hhᵀ)^{t−i} W_hoᵀ ∂L/∂ŷ_t r_iᵀ on the linear network.

    `right` returns the vector r_i from the network and i.
    """

    def value(system: ElmanSystem) -> Tensor:
        network = linear(system)
        W_hh, W_ho, errors = network.weight_hh, network.weight_ho, _output_errors(network)
        terms = [
            torch.outer(torch.linalg.matrix_power(W_hh.T, t - i) @ W_ho.T @ errors[t - 1], right(network, i))
            for t in range(1, network.steps + 1)
            for i in range(1, t + 1)
        ]
        return reduce(torch.add, terms) / network.steps

    return value


def _linear_reference(parameter: str) -> Callable[[ElmanSystem], Derivative]:
    return lambda system: gradient(mean_squared_error, parameter)(linear(system))


def _linear_without_negatives(system: ElmanSystem) -> ElmanSystem:
    """Return a linear network whose states are not negative, so that torch computes it with ReLU as the activation."""
    network = linear(system)
    names = ("weight_ih", "weight_hh", "initial_state", "inputs")
    return replace(network, **{name: getattr(network, name).abs() for name in names})


def _equation(number: str, **rest) -> Equation:
    return Equation(note=Note.Y, number=number, **rest)


DEFINITIONS = (
    _equation(
        "recursion",
        kind=Kind.DEFINITION,
        statement="h_t = f(x_t, h_{t-1}; θ_h), here tanh(W_ih x_t + W_hh h_{t-1} + b)",
        printed=lambda system: states(system)[1:],
        reference=lambda system: TorchValue(torch_states(system, "tanh"), "torch.nn.RNN"),
        verdict=EquationVerdict.HOLDS,
        explanation="Equals {source} from the same h_0 ≠ 0.",
    ),
    _equation(
        "loss",
        kind=Kind.DEFINITION,
        statement="F = (1/T) Σ_t L(ŷ_t, y_t), here with L = ‖ŷ_t − y_t‖²",
        printed=mean_squared_error,
        reference=lambda system: TorchValue(
            torch.nn.functional.mse_loss(logits(system), system.targets, reduction="sum") / system.steps,
            "torch.nn.functional.mse_loss(reduction='sum') / T",
        ),
        verdict=EquationVerdict.HOLDS,
        explanation="Equals {source}.",
    ),
)

GRADIENTS = (
    _equation(
        "∂F/∂θ_h",
        statement="∂F/∂θ_h = (1/T) Σ_t ∂L/∂ŷ_t · ∂ŷ_t/∂h_t · ∂h_t/∂θ_h",
        printed=_gradient_by_chain,
        reference=_loss_by_hidden_parameters,
        verdict=EquationVerdict.HOLDS,
        explanation="Holds with the total ∂h_t/∂θ_h of (1); where it stands first the note drops the t of ŷ_t.",
    ),
    _equation(
        "(1)",
        statement="a_t = b_t + c_t a_{t-1} with a_t = ∂h_t/∂θ_h, b_t = ∂f/∂θ_h, c_t = ∂f/∂h_{t-1}",
        printed=_derivatives_by_recursion,
        reference=_states_by_parameters,
        verdict=EquationVerdict.HOLDS,
        explanation="Holds at every t from a_0 = ∂h_0/∂θ_h = 0: this is real-time recurrent learning.",
    ),
    _equation(
        "(1) solved",
        reading="c_t leftmost",
        statement="a_t = b_t + Σ_{i=1…t−1} (Π_{j=i+1…t} c_j) b_i",
        printed=lambda system: _derivatives_by_solution(system, "latest first"),
        reference=_states_by_parameters,
        verdict=EquationVerdict.HOLDS,
        explanation="Holds if the product is c_t … c_{{i+1}}, the last factor first.",
    ),
    _equation(
        "(1) solved",
        reading="c_{i+1} leftmost",
        statement="a_t = b_t + Σ_{i=1…t−1} (Π_{j=i+1…t} c_j) b_i",
        printed=lambda system: _derivatives_by_solution(system, "earliest first"),
        corrected=lambda system: _derivatives_by_solution(system, "latest first"),
        reference=_states_by_parameters,
        verdict=EquationVerdict.WRONG_ORDER,
        explanation="Written in the order in which j counts, c_{{i+1}} … c_t, the product is wrong: matrices do not "
        "commute and the note does not state the order.",
    ),
    _equation(
        "(1) solved",
        reading="h_0 is learnt",
        statement="a_t = b_t + Σ_{i=1…t−1} (Π_{j=i+1…t} c_j) b_i for the block of h_0 in θ_h",
        printed=lambda system: torch.zeros_like(_initial_state_term(system)),
        corrected=_initial_state_term,
        reference=_states_by_initial_state,
        verdict=EquationVerdict.INCOMPLETE,
        explanation="h_0 is arbitrary, so it may be a parameter; then a_0 is not 0, and the term c_t … c_1 a_0 that "
        "the solved form drops is the whole gradient of h_0.",
    ),
    _equation(
        "∂F/∂θ_o",
        statement="∂F/∂θ_o = (1/T) Σ_t ∂L/∂ŷ_t · ∂ŷ_t/∂θ_o",
        corrected=_output_gradient,
        reference=gradient(mean_squared_error, "weight_ho"),
        verdict=EquationVerdict.LEFT_TO_READER,
        explanation="“In a similar manner” needs no recursion: θ_o acts after the state (shown for W_ho).",
    ),
)

LINEAR = (
    _equation(
        "linear",
        kind=Kind.DEFINITION,
        statement="h_t = W_ih x_t + W_hh h_{t-1}, ŷ_t = W_ho h_t",
        printed=lambda system: states(_linear_without_negatives(system))[1:],
        reference=lambda system: TorchValue(
            torch_states(_linear_without_negatives(system), "relu"), "torch.nn.RNN(nonlinearity='relu') on numbers ≥ 0"
        ),
        verdict=EquationVerdict.HOLDS,
        explanation="Equals {source}, where ReLU is the identity.",
    ),
    _equation(
        "linear ∂W_ih",
        statement="∂F/∂W_ih = (1/T) Σ_t Σ_{i≤t} (W_hhᵀ)^{t−i} W_hoᵀ (∂L/∂ŷ_t) x_iᵀ",
        printed=_linear_gradient(lambda system, i: system.inputs[i - 1]),
        reference=_linear_reference("weight_ih"),
        verdict=EquationVerdict.HOLDS,
        explanation="Holds; all factors of the product are equal, so that their order does not matter here.",
    ),
    _equation(
        "linear ∂W_hh",
        statement="∂F/∂W_hh = (1/T) Σ_t Σ_{i≤t} (W_hhᵀ)^{t−i} W_hoᵀ (∂L/∂ŷ_t) h_{i−1}ᵀ",
        corrected=_linear_gradient(lambda system, i: states(system)[i - 1]),
        reference=_linear_reference("weight_hh"),
        verdict=EquationVerdict.LEFT_TO_READER,
        explanation="The state one step earlier takes the place of the input; h_0 ≠ 0 contributes through i = 1.",
    ),
    _equation(
        "linear ∂W_ho",
        statement="∂F/∂W_ho = (1/T) Σ_t (∂L/∂ŷ_t) h_tᵀ",
        corrected=lambda system: _output_gradient(linear(system)),
        reference=_linear_reference("weight_ho"),
        verdict=EquationVerdict.LEFT_TO_READER,
        explanation="One sum over t: the read-out sees each state once.",
    ),
)

EQUATIONS: tuple[Equation, ...] = DEFINITIONS + GRADIENTS + LINEAR + EIGENVALUE_CLAIMS
