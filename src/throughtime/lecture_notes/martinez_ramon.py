"""Equations (1) to (8) of [MR].

[MR] is Martínez-Ramón, Ajith, Rajendra Kurup, "5.2a Training an RNN. Recursive gradients".

Its weights are the transposes of ours: its W_hx, W_hh, W_oh are our W_ihᵀ, W_hhᵀ, W_hoᵀ. Its z_t of the output are our
logits o_t, and its outputs o_t are our p_t. Its Jacobians are in the denominator layout, and its read-out has no bias.
"""

from dataclasses import replace

import torch
from torch import Tensor

from throughtime.lecture_notes.base import Equation, EquationVerdict, ExperimentResult, Kind, Note, TorchValue
from throughtime.lecture_notes.differentiation import Derivative, automatic
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
)
from throughtime.lecture_notes.torch_values import torch_states


def _without_readout_bias(system: ElmanSystem) -> ElmanSystem:
    """Return the network of the note, which has no bias in the read-out."""
    return replace(system, bias_o=torch.zeros_like(system.bias_o))


def _errors(system: ElmanSystem) -> Tensor:
    """Return δ_t = p_t − y_t for all steps, as [time, classes]."""
    return probabilities(_without_readout_bias(system)) - system.labels


def _loss_by_states(system: ElmanSystem, first: int, last: int) -> Derivative:
    """Return the reference dJ/dh_t for t = first … last, through all later steps, as [last − first + 1, hidden]."""
    network = _without_readout_bias(system)

    def loss(disturbed: Tensor) -> Tensor:
        disturbance = torch.zeros(system.steps, system.hidden_size, dtype=torch.float64)
        disturbance = torch.cat([disturbance[: first - 1], disturbed, disturbance[last:]])
        return _cross_entropy_of_logits(logits(network, disturbance), system.labels)

    return Derivative(loss, torch.zeros(last - first + 1, system.hidden_size, dtype=torch.float64))


def _cross_entropy_of_logits(values: Tensor, labels: Tensor) -> Tensor:
    """Return −Σ y ln softmax(o), summed over all dimensions of logits and labels [*, classes]."""
    return -(labels * torch.log_softmax(values, dim=-1)).sum()


def _loss_by_logits(system: ElmanSystem) -> Derivative:
    return Derivative(
        lambda values: _cross_entropy_of_logits(values, system.labels), logits(_without_readout_bias(system))
    )


def _loss_by_last_logits(system: ElmanSystem) -> Derivative:
    return Derivative(
        lambda values: _cross_entropy_of_logits(values, system.labels[-1]),
        logits(_without_readout_bias(system))[-1],
    )


def _state_by_state(system: ElmanSystem, transposed: bool) -> Derivative:
    """Return the derivative of h_{t+1} by h_t, where TIME_STEP is t+1."""
    return Derivative(lambda state: next_state(system, TIME_STEP, state), states(system)[TIME_STEP - 1], transposed)


def _loss_by_all_parameters(system: ElmanSystem) -> Derivative:
    """Return the reference dJ/dθ for θ = (W_ih, W_hh, b, W_ho) as a vector."""
    network = _without_readout_bias(system)
    shapes = {name: getattr(network, name).shape for name in ("weight_ih", "weight_hh", "bias", "weight_ho")}

    def loss(flat: Tensor) -> Tensor:
        parts = flat.split([shape.numel() for shape in shapes.values()])
        named = {name: part.reshape(shapes[name]) for name, part in zip(shapes, parts, strict=True)}
        return cross_entropy(replace(network, **named))

    return Derivative(loss, torch.cat([getattr(network, name).flatten() for name in shapes]))


def _cost(system: ElmanSystem) -> Tensor:
    return -(system.labels * torch.log(probabilities(_without_readout_bias(system)))).sum()  # [MR] (1)


def _maximised(system: ElmanSystem) -> ExperimentResult:
    """Measure how the log-likelihood −J changes by a small step along −∇J, and along +∇J."""
    network = _without_readout_bias(system)
    direction = automatic(gradient(cross_entropy, "weight_ho")(network))

    def log_likelihood(rate: float) -> float:
        return -cross_entropy(replace(network, weight_ho=network.weight_ho + rate * direction)).item()

    rise, fall = (log_likelihood(rate) - log_likelihood(0.0) for rate in (-1e-3, 1e-3))
    return ExperimentResult({"rise": rise, "fall": fall}, shown=rise > 0 > fall)


def _all_parameters(system: ElmanSystem, with_bias: bool) -> Tensor:
    """Return the gradient of J by W_ih, W_hh, b and W_ho as a vector; without b its part is zero."""
    by_preactivation = tanh_slopes(system)[1:] * _state_gradients(system)
    h = states(system)
    by_weight_ih, by_weight_hh = by_preactivation.T @ system.inputs, by_preactivation.T @ h[:-1]
    by_bias = by_preactivation.sum(0) if with_bias else torch.zeros_like(system.bias)
    by_weight_ho = _errors(system).T @ h[1:]
    return torch.cat([by_weight_ih.flatten(), by_weight_hh.flatten(), by_bias, by_weight_ho.flatten()])


def _last_state_gradient(system: ElmanSystem) -> Tensor:
    W_oh = system.weight_ho.T
    return (W_oh @ _errors(system)[-1])[None]  # [MR] (2)


def _outputs_only_their_own_logit(system: ElmanSystem) -> Tensor:
    """Return ∂J/∂o_T [classes] as if each output depended on the logit of its class alone."""
    outputs = probabilities(_without_readout_bias(system))[-1]
    cost_by_output = -system.labels[-1] / outputs
    return cost_by_output * outputs * (1 - outputs)  # [MR] (3), whose o'_k is ∂o_k/∂z_k


def _mixed_subscripts(system: ElmanSystem) -> Tensor:
    """Return (3) with the output of an earlier step t, TIME_STEP, in the numerator and T in the denominator."""
    values = logits(_without_readout_bias(system))
    earlier = Derivative(
        lambda last: torch.softmax(torch.cat([values[:-1], last[None]]), -1)[TIME_STEP - 1], values[-1]
    )
    cost_by_output = -system.labels[-1] / torch.softmax(values[-1], -1)
    return cost_by_output * automatic(earlier).diagonal()  # [MR] (3) with ∂o_{k,t}/∂z_{k,T}


def _last_logit_gradient(system: ElmanSystem) -> Tensor:
    """Return ∂J/∂o_T [classes] with the sum over all outputs."""
    outputs = probabilities(_without_readout_bias(system))[-1]
    return softmax_jacobian(outputs) @ (-system.labels[-1] / outputs)


def _elementwise_jacobian(system: ElmanSystem) -> Tensor:
    W_hh = system.weight_hh.T
    slopes, before = tanh_slopes(system)[TIME_STEP], states(system)[TIME_STEP - 1]
    rows = []
    for i in range(system.hidden_size):
        products = [automatic(Derivative(lambda h, j=j: W_hh[:, j] @ h, before))[i] for j in range(system.hidden_size)]
        rows.append(slopes * torch.stack(products))  # [MR] (5)
    return torch.stack(rows)


def _entries_of_jacobian(system: ElmanSystem) -> Tensor:
    W_hh, slopes = system.weight_hh.T, tanh_slopes(system)[TIME_STEP]
    units = range(system.hidden_size)
    return torch.stack([torch.stack([W_hh[i, j] * slopes[j] for j in units]) for i in units])  # [MR] (6)


def _jacobian(system: ElmanSystem) -> Tensor:
    W_hh = system.weight_hh.T
    return W_hh @ torch.diag(tanh_slopes(system)[TIME_STEP])  # [MR] (7)


def _state_gradients(system: ElmanSystem) -> Tensor:
    """Return ∇h_1 … ∇h_T as [time, hidden]."""
    W_hh, W_oh = system.weight_hh.T, system.weight_ho.T
    errors, slopes = _errors(system), tanh_slopes(system)
    rows = [W_oh @ errors[-1]]
    for t in range(system.steps - 1, 0, -1):
        rows.append(W_oh @ errors[t - 1] + W_hh @ torch.diag(slopes[t + 1]) @ rows[-1])  # [MR] (8)
    return torch.stack(rows[::-1])


def _two_losses_only(system: ElmanSystem) -> Tensor:
    """Return ∇h_1 … ∇h_{T−1} through the losses of steps t and t+1 alone, as [time − 1, hidden]."""
    W_hh, W_oh = system.weight_hh.T, system.weight_ho.T
    direct = _errors(system) @ W_oh.T
    slopes = tanh_slopes(system)
    following = [W_hh @ torch.diag(slopes[t + 1]) @ direct[t] for t in range(1, system.steps)]
    return direct[:-1] + torch.stack(following)


def _equation(number: str, **rest) -> Equation:
    return Equation(note=Note.MR, number=number, **rest)


EQUATIONS: tuple[Equation, ...] = (
    _equation(
        "(1)",
        kind=Kind.DEFINITION,
        statement="J = −Σ_t Σ_k y_{k,t} ln softmax(o_t)_k",
        printed=_cost,
        reference=lambda system: TorchValue(
            torch.nn.functional.cross_entropy(logits(_without_readout_bias(system)), system.labels, reduction="sum"),
            "torch.nn.functional.cross_entropy(reduction='sum')",
        ),
        verdict=EquationVerdict.HOLDS,
        explanation="Equals {source}.",
    ),
    _equation(
        "(1) words",
        kind=Kind.CLAIM,
        statement="“maximize the cross entropy … or, equivalently, the output likelihood”",
        experiment=_maximised,
        verdict=EquationVerdict.WORDING,
        explanation="J must be minimised: a step of 1e-3 along −∇J changes the log-likelihood by {rise:+.1e}, a step "
        "along +∇J by {fall:+.1e}.",
    ),
    _equation(
        "(1) θ",
        statement="θ = {W_ih, W_hh, W_ho} contains all trainable parameters",
        printed=lambda system: _all_parameters(system, with_bias=False),
        corrected=lambda system: _all_parameters(system, with_bias=True),
        reference=_loss_by_all_parameters,
        verdict=EquationVerdict.INCOMPLETE,
        explanation="(4) also uses b: leaving it out misses {printed_automatic:.2f} of the norm of the gradient.",
    ),
    _equation(
        "(2)",
        statement="∇h_T = W_hoᵀ δ_T",
        printed=_last_state_gradient,
        reference=lambda system: _loss_by_states(system, system.steps, system.steps),
        verdict=EquationVerdict.HOLDS,
        explanation="Holds in the denominator layout, in which ∂o_T/∂h_T is W_hoᵀ.",
    ),
    _equation(
        "(3)",
        reading="one output per logit",
        statement="∂J/∂o_{k,T} = (∂J/∂p_{k,T}) p'_{k,T}",
        printed=_outputs_only_their_own_logit,
        corrected=_last_logit_gradient,
        reference=_loss_by_last_logits,
        verdict=EquationVerdict.INCOMPLETE,
        explanation="Every output of a softmax depends on every logit: the sum over the outputs is missing, and "
        "without it only the logit of the true class gets an error.",
    ),
    _equation(
        "(3)",
        reading="subscripts as printed",
        statement="∂J/∂o_{k,T} = (∂J/∂p_{k,T}) (∂p_{k,t}/∂o_{k,T}), with t and T mixed",
        printed=_mixed_subscripts,
        corrected=_last_logit_gradient,
        reference=_loss_by_last_logits,
        verdict=EquationVerdict.WRONG_INDEX,
        explanation="For t ≠ T the derivative of an earlier output is zero, and so is the product; t must be T (and "
        "the d of the numerator is missing).",
    ),
    _equation(
        "(3) δ",
        statement="δ_t = softmax(o_t) − y_t",
        printed=_errors,
        reference=_loss_by_logits,
        verdict=EquationVerdict.HOLDS,
        explanation="The result holds although the elementwise chain (3) in front of it does not.",
    ),
    _equation(
        "(4)",
        kind=Kind.DEFINITION,
        statement="h_{t+1} = tanh(W_ih x_{t+1} + W_hh h_t + b)",
        printed=lambda system: states(system)[1:],
        reference=lambda system: TorchValue(torch_states(system, "tanh"), "torch.nn.RNN"),
        verdict=EquationVerdict.HOLDS,
        explanation="Equals {source} with the same weights.",
    ),
    _equation(
        "(4) words",
        statement="J contains h_t in ℓ(x_t) and in the next one, ℓ(x_{t+1}); likewise below (8)",
        printed=_two_losses_only,
        corrected=lambda system: _state_gradients(system)[:-1],
        reference=lambda system: _loss_by_states(system, 1, system.steps - 1),
        verdict=EquationVerdict.INCOMPLETE,
        explanation="h_t reaches every later loss: the errors of steps t and t+1 alone are not the gradient, and the "
        "second term of (8) carries the errors of all later steps.",
    ),
    _equation(
        "(5)",
        statement="∂h_{j,t+1}/∂h_{i,t} = tanh'(a_{j,t+1}) · ∂(row j of W_hh · h_t)/∂h_{i,t}",
        printed=_elementwise_jacobian,
        reference=lambda system: _state_by_state(system, transposed=True),
        verdict=EquationVerdict.HOLDS,
        explanation="Holds entry by entry (i is the row).",
    ),
    _equation(
        "(6)",
        statement="∂h_{j,t+1}/∂h_{i,t} = (W_hh)_{j,i} tanh'(a_{j,t+1})",
        printed=_entries_of_jacobian,
        reference=lambda system: _state_by_state(system, transposed=True),
        verdict=EquationVerdict.HOLDS,
        explanation="Holds entry by entry (i is the row).",
    ),
    _equation(
        "(7)",
        reading="denominator layout",
        statement="∂h_{t+1}/∂h_t = W_hhᵀ diag(tanh'(a_{t+1}))",
        printed=_jacobian,
        reference=lambda system: _state_by_state(system, transposed=True),
        verdict=EquationVerdict.HOLDS,
        explanation="This is J_{{t+1}}ᵀ: the layout in which (2) and (8) multiply, though the note does not name it.",
    ),
    _equation(
        "(7)",
        reading="numerator layout",
        statement="∂h_{t+1}/∂h_t = W_hhᵀ diag(tanh'(a_{t+1}))",
        printed=_jacobian,
        corrected=lambda system: _jacobian(system).T,
        reference=lambda system: _state_by_state(system, transposed=False),
        verdict=EquationVerdict.TRANSPOSED,
        explanation="With the rows counting h_{{t+1}}, which is the more common layout, the Jacobian is "
        "diag(tanh'(a_{{t+1}})) W_hh.",
    ),
    _equation(
        "(8)",
        statement="∇h_t = W_hoᵀ δ_t + W_hhᵀ diag(tanh'(a_{t+1})) ∇h_{t+1}, for t < T",
        printed=lambda system: _state_gradients(system)[:-1],
        reference=lambda system: _loss_by_states(system, 1, system.steps - 1),
        verdict=EquationVerdict.HOLDS,
        explanation="Holds at every step t < T; (2) starts it.",
    ),
)
