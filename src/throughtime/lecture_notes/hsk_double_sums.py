"""Double sums (9) to (14) of [HSK], and the derivatives of sections 2.5 to 2.7.

[HSK] is "RNN", April 2024. Its symbols are explained in hsk.py.

For each of W_hh, W_ih and b the note has two equations. (9), (11) and (13) are the chain rule in symbols. They are
measured in the numerator layout, in which the factors multiply in the printed order. (10), (12) and (14) have the
formulas of the derivatives in place of the symbols. As printed, with (error) W_hoᵀ in front, their factors do not
multiply. They are therefore measured as D_k (W_hhᵀ D_{k+1} … W_hhᵀ D_t) W_hoᵀ (error) (right factor), where
D_t = diag(1 − h_t²), the error is ±(p_t − y_t), and the right factor is h_{k−1}ᵀ, x_kᵀ or, for b, absent.
"""

from collections.abc import Callable, Iterator
from functools import reduce

import torch
from torch import Tensor

from throughtime.lecture_notes.base import Equation, EquationVerdict, Misfit, Note, Value, literal_product
from throughtime.lecture_notes.chains import (
    Order,
    StateDerivative,
    immediate_derivative,
    summed_chain,
    total_derivative,
)
from throughtime.lecture_notes.differentiation import Derivative
from throughtime.lecture_notes.systems import (
    TIME_STEP,
    ElmanSystem,
    cross_entropy,
    gradient,
    logits,
    next_state,
    probabilities,
    softmax_jacobian,
    states,
    tanh_slopes,
    with_square_weight_ih,
)

RIGHT_FACTORS: dict[str, Callable[[ElmanSystem, int], Tensor | None]] = {
    "weight_hh": lambda system, k: states(system)[k - 1],
    "weight_ih": lambda system, k: system.inputs[k - 1],
    "bias": lambda system, k: None,
}
"""Right factor at step k, by parameter: h_{k−1} [hidden], x_k [input], or None for the bias, which has none."""


def _errors(system: ElmanSystem) -> Tensor:
    """Return p_t − y_t for all steps, as [time, classes]."""
    return probabilities(system) - system.labels


def _double_sum(system: ElmanSystem, parameter: str, sign: int, order: Order) -> Tensor:
    """Return Σ_t Σ_{k≤t} D_k (Π_{j=k…t−1} W_hhᵀ D_{j+1}) W_hoᵀ sign·(p_t − y_t) (right factor of step k).

    "earliest first" puts the factor of k+1 on the left of the product and that of t on the right. With `sign` −1 the
    error is the printed y_t − p_t.
    """
    slopes, errors, identity = tanh_slopes(system), _errors(system), torch.eye(system.hidden_size, dtype=torch.float64)
    terms = []
    for t in range(1, system.steps + 1):
        for k in range(1, t + 1):
            factors = [system.weight_hh.T @ torch.diag(slopes[j + 1]) for j in range(k, t)]
            product = reduce(torch.matmul, factors if order == "earliest first" else factors[::-1], identity)
            column = torch.diag(slopes[k]) @ product @ system.weight_ho.T @ (sign * errors[t - 1])
            right = RIGHT_FACTORS[parameter](system, k)
            terms.append(column if right is None else torch.outer(column, right))
    return reduce(torch.add, terms)  # [HSK] (10), (12), (14)


def _correct_sum(parameter: str) -> Callable[[ElmanSystem], Tensor]:
    return lambda system: _double_sum(system, parameter, 1, "earliest first")


def _negative_gradient(parameter: str) -> Callable[[ElmanSystem], Derivative]:
    return gradient(lambda system: -cross_entropy(system), parameter)


def _literal_term(system: ElmanSystem) -> Value:
    """Return the term t = k + 1 = T of (10) with the factors as printed.

    They are (y_t − p_t) W_hoᵀ W_hhᵀ D_t D_k h_{k−1}.
    """
    slopes, h = tanh_slopes(system), states(system)
    row = -_errors(system)[-1][None]
    diagonals = torch.diag(slopes[-1]), torch.diag(slopes[-2])
    return literal_product([row, system.weight_ho.T, system.weight_hh.T, *diagonals, h[-3][:, None]])


def _sum_in_symbols(system: ElmanSystem, parameter: str, order: Order, derivative: StateDerivative) -> Tensor:
    loss_by_states = _errors(system) @ system.weight_ho
    return summed_chain(system, loss_by_states, parameter, order, derivative)


def _loss_by_output(system: ElmanSystem) -> Derivative:
    labels, output = system.labels[TIME_STEP - 1], probabilities(system)[TIME_STEP - 1]
    # The logarithm has its pole at 0, so that the steps must be small beside the least probability.
    step_size = 1e-3 * output.min().item()
    return Derivative(lambda values: -(labels * torch.log(values)).sum(), output, step_size=step_size)


def _negative_loss_by_logits(system: ElmanSystem) -> Derivative:
    labels = system.labels[TIME_STEP - 1]
    return Derivative(lambda values: (labels * torch.log_softmax(values, -1)).sum(), logits(system)[TIME_STEP - 1])


def _output_by_state(system: ElmanSystem) -> Derivative:
    def output(state: Tensor) -> Tensor:
        return torch.softmax(system.weight_ho @ state + system.bias_o, -1)

    return Derivative(output, states(system)[TIME_STEP], transposed=True)


def _logits_by_state(system: ElmanSystem) -> Derivative:
    return Derivative(
        lambda state: system.weight_ho @ state + system.bias_o, states(system)[TIME_STEP], transposed=True
    )


def _output_by_state_by_formula(system: ElmanSystem) -> Tensor:
    output = probabilities(system)[TIME_STEP - 1]
    return system.weight_ho.T @ softmax_jacobian(output)


def _state_by_state(system: ElmanSystem) -> Derivative:
    return Derivative(
        lambda state: next_state(system, TIME_STEP, state), states(system)[TIME_STEP - 1], transposed=True
    )


def _state_by_parameter(parameter: str) -> Callable[[ElmanSystem], Derivative]:
    """Return the reference ∂h_k/∂θ with h_{k−1} held fixed, in the shape [hidden, *shape of θ]."""

    def reference(system: ElmanSystem) -> Derivative:
        before = states(system)[TIME_STEP - 1]
        return gradient(lambda changed: next_state(changed, TIME_STEP, before), parameter)(system)

    return reference


def _state_by_formula(parameter: str) -> Callable[[ElmanSystem], Tensor]:
    """Return the formula ∂h_i/∂θ_{jl} = (1 − h_i²) δ_ij (right factor)_l; for the bias it is diag(1 − h²)."""

    def value(system: ElmanSystem) -> Tensor:
        slope, right = torch.diag(tanh_slopes(system)[TIME_STEP]), RIGHT_FACTORS[parameter](system, TIME_STEP)
        return slope if right is None else slope[..., None] * right

    return value


def _state_by_printed_formula(parameter: str) -> Callable[[ElmanSystem], Value]:
    """Return the printed formula: the vector 1 − h² times the right factor, element by element."""

    def value(system: ElmanSystem) -> Value:
        slope, right = tanh_slopes(system)[TIME_STEP], RIGHT_FACTORS[parameter](system, TIME_STEP)
        if right is None:
            return slope
        return slope * right if slope.shape == right.shape else Misfit(tuple(slope.shape), tuple(right.shape))

    return value


def _equation(number: str, **rest) -> Equation:
    return Equation(note=Note.HSK, number=number, **rest)


PARTIAL_DERIVATIVES = (
    _equation(
        "2.5 ∂L_t/∂ŷ_t",
        statement="∂L_t/∂p_t = y_t − p_t (also in 2.6, 2.7)",
        printed=lambda system: -_errors(system)[TIME_STEP - 1],
        corrected=lambda system: -system.labels[TIME_STEP - 1] / probabilities(system)[TIME_STEP - 1],
        reference=_loss_by_output,
        meant=_negative_loss_by_logits,
        verdict=EquationVerdict.WRONG_LABEL,
        explanation="∂L_t/∂p_t is −y_t/p_t; what stands there is −∂L_t/∂o_t, named wrong and against the sign of (6).",
    ),
    _equation(
        "2.5 ∂ŷ_t/∂h_t",
        statement="∂p_t/∂h_t = W_hoᵀ (also in 2.6, 2.7)",
        printed=lambda system: system.weight_ho.T,
        corrected=_output_by_state_by_formula,
        reference=_output_by_state,
        meant=_logits_by_state,
        verdict=EquationVerdict.WRONG_LABEL,
        explanation="W_hoᵀ is ∂o_t/∂h_t (denominator layout); ∂p_t/∂h_t is W_hoᵀ (diag p_t − p_t p_tᵀ).",
    ),
    _equation(
        "2.5 ∂h_{j+1}/∂h_j",
        statement="∂h_{j+1}/∂h_j = W_hhᵀ (1 − h_{j+1}²)",
        printed=lambda system: system.weight_hh.T @ tanh_slopes(system)[TIME_STEP],
        corrected=lambda system: system.weight_hh.T @ torch.diag(tanh_slopes(system)[TIME_STEP]),
        reference=_state_by_state,
        verdict=EquationVerdict.WRONG_SHAPE,
        explanation="A matrix times a vector has shape {printed_shape}, the Jacobian {reference_shape}: 1 − h² is a "
        "diagonal matrix, W_hhᵀ diag(1 − h_{{j+1}}²), in the denominator layout.",
    ),
    _equation(
        "2.5 ∂h_k/∂W",
        statement="∂h_k/∂W_hh = (1 − h_k²) h_{k−1}",
        printed=_state_by_printed_formula("weight_hh"),
        corrected=_state_by_formula("weight_hh"),
        reference=_state_by_parameter("weight_hh"),
        verdict=EquationVerdict.WRONG_SHAPE,
        explanation="Two vectors give {printed_shape}, the derivative of a vector by a matrix is {reference_shape}: "
        "∂h_i/∂W_jl = (1 − h_i²) δ_ij h_{{k−1,l}}, with h_{{k−1}} held fixed.",
    ),
    _equation(
        "2.6 ∂h_k/∂U",
        statement="∂h_k/∂W_ih = (1 − h_k²) x_k",
        printed=_state_by_printed_formula("weight_ih"),
        corrected=_state_by_formula("weight_ih"),
        reference=_state_by_parameter("weight_ih"),
        verdict=EquationVerdict.WRONG_SHAPE,
        explanation="Vectors of {printed_shape} do not multiply; the derivative is {reference_shape}: "
        "∂h_i/∂U_jl = (1 − h_i²) δ_ij x_{{k,l}}.",
    ),
    _equation(
        "2.7 ∂h_k/∂b",
        statement="∂h_k/∂b = 1 − h_k²",
        printed=_state_by_printed_formula("bias"),
        corrected=_state_by_formula("bias"),
        reference=_state_by_parameter("bias"),
        verdict=EquationVerdict.WRONG_SHAPE,
        explanation="A vector of {printed_shape} where a Jacobian of {reference_shape} is needed: diag(1 − h_k²).",
    ),
)


def _sums_in_symbols(number: str, name: str, parameter: str) -> Iterator[Equation]:
    """Yield the readings of (9), (11) or (13); `name` is the symbol of the parameter."""
    statement = f"∂L/∂{name} = Σ_t Σ_{{k≤t}} ∂L_t/∂p_t ∂p_t/∂h_t (Π_{{j=k…t−1}} ∂h_{{j+1}}/∂h_j) ∂h_k/∂{name}"
    shared = {"statement": statement, "reference": gradient(cross_entropy, parameter)}

    def correct(system: ElmanSystem) -> Tensor:
        return _sum_in_symbols(system, parameter, "latest first", immediate_derivative)

    yield _equation(
        number,
        reading="latest step leftmost",
        printed=correct,
        verdict=EquationVerdict.HOLDS,
        explanation=f"Holds in the numerator layout with the product from t down to k+1 and ∂h_k/∂{name} taken with "
        "h_{{k−1}} held fixed.",
        **shared,
    )
    yield _equation(
        number,
        reading="earliest step leftmost",
        printed=lambda system: _sum_in_symbols(system, parameter, "earliest first", immediate_derivative),
        corrected=correct,
        verdict=EquationVerdict.WRONG_ORDER,
        explanation="Multiplied in the order in which j counts, the factors stand the wrong way round for this layout.",
        **shared,
    )
    yield _equation(
        number,
        reading=f"total ∂h_k/∂{name}",
        printed=lambda system: _sum_in_symbols(system, parameter, "latest first", total_derivative),
        corrected=correct,
        verdict=EquationVerdict.DOUBLE_COUNTS,
        explanation=f"If ∂h_k/∂{name} goes through the earlier steps as well, the sum over k counts those a second "
        "time; the note does not say which derivative it means.",
        **shared,
    )


def _sums_in_formulas(number: str, name: str, parameter: str) -> Iterator[Equation]:
    """Yield the readings of (10), (12) or (14); `name` is the symbol of the parameter."""
    reference, correct = gradient(cross_entropy, parameter), _correct_sum(parameter)
    yield _equation(
        number,
        reading="y_t − ŷ_t, as printed",
        statement=f"∂L/∂{name} = Σ_t Σ_{{k≤t}} D_k (W_hhᵀ D_{{k+1}} … W_hhᵀ D_t) W_hoᵀ (y_t − p_t) …",
        printed=lambda system: _double_sum(system, parameter, -1, "earliest first"),
        corrected=correct,
        reference=reference,
        verdict=EquationVerdict.WRONG_SIGN,
        explanation="With every other fault mended, the factor y_t − p_t (instead of the p_t − y_t of (6)) gives minus "
        "the gradient: the relative distance is {printed_automatic:.1f}, and descent along it climbs.",
    )
    yield _equation(
        number,
        reading="product t … k+1",
        statement=f"∂L/∂{name} = Σ_t Σ_{{k≤t}} D_k (W_hhᵀ D_t … W_hhᵀ D_{{k+1}}) W_hoᵀ (p_t − y_t) …",
        printed=lambda system: _double_sum(system, parameter, 1, "latest first"),
        corrected=correct,
        reference=reference,
        verdict=EquationVerdict.WRONG_ORDER,
        explanation="The note leaves the order open: with the sign mended, the product must have k+1 on the left and "
        "t on the right.",
    )


FACTORS_AS_PRINTED = _equation(
    "(10)",
    reading="factors left to right",
    statement="∂L/∂W_hh = Σ_t Σ_{k≤t} (y_t − p_t) W_hoᵀ Π_{j=k…t−1} (W_hhᵀ (1 − h_{j+1}²)) (1 − h_k²) h_{k−1}",
    printed=_literal_term,
    corrected=_correct_sum("weight_hh"),
    reference=gradient(cross_entropy, "weight_hh"),
    verdict=EquationVerdict.WRONG_SHAPE,
    explanation="As printed (also in (12), (14)) the first two factors do not multiply, {printed_shape}: transposed "
    "Jacobians act on columns and belong to the left of the error.",
)

REPEATED_SUMS = (
    _equation(
        "(12)",
        reading="h_{k−1} for x_k",
        statement="∂L/∂W_ih = … h_{k−1}ᵀ, printed as ∂L/∂W",
        printed=lambda system: _double_sum(system, "weight_hh", -1, "earliest first"),
        corrected=_correct_sum("weight_ih"),
        reference=gradient(cross_entropy, "weight_ih"),
        verdict=EquationVerdict.WRONG_SHAPE,
        explanation="The section derives ∂L/∂U but prints (10) again: shape {printed_shape} where the gradient has "
        "{reference_shape}; the last factor is x_kᵀ.",
    ),
    _equation(
        "(12)",
        reading="h_{k−1} for x_k, I = H",
        statement="∂L/∂W_ih = … h_{k−1}ᵀ with the sign mended, on a network with I = H",
        printed=lambda system: _double_sum(with_square_weight_ih(system), "weight_hh", 1, "earliest first"),
        corrected=lambda system: _correct_sum("weight_ih")(with_square_weight_ih(system)),
        reference=lambda system: gradient(cross_entropy, "weight_ih")(with_square_weight_ih(system)),
        verdict=EquationVerdict.WRONG_FACTOR,
        explanation="With as many inputs as hidden units the shape fits, {printed_shape}, and no error is raised: the "
        "value is still that of another gradient.",
    ),
)

MISLABELLED_SUM = _equation(
    "(14)",
    reading="labelled ∂L/∂W",
    statement="∂L/∂W_hh = Σ_t Σ_{k≤t} … (1 − h_k²), printed as ∂L/∂W",
    printed=lambda system: _double_sum(system, "bias", -1, "earliest first"),
    corrected=_correct_sum("weight_hh"),
    reference=gradient(cross_entropy, "weight_hh"),
    meant=_negative_gradient("bias"),
    verdict=EquationVerdict.WRONG_LABEL,
    explanation="The value is −∂L/∂b, of shape {printed_shape}, under the name of a gradient of {reference_shape}.",
)

DOUBLE_SUMS: tuple[Equation, ...] = (
    *PARTIAL_DERIVATIVES,
    *_sums_in_symbols("(9)", "W_hh", "weight_hh"),
    FACTORS_AS_PRINTED,
    *_sums_in_formulas("(10)", "W_hh", "weight_hh"),
    *_sums_in_symbols("(11)", "W_ih", "weight_ih"),
    *REPEATED_SUMS,
    *_sums_in_formulas("(12)", "W_ih", "weight_ih"),
    *_sums_in_symbols("(13)", "b", "bias"),
    MISLABELLED_SUM,
    *_sums_in_formulas("(14)", "b", "bias"),
)
