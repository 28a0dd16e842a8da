"""Elman network on which every equation is measured: small, random, float64, without a batch."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from throughtime.lecture_notes.differentiation import Derivative

STEPS, HIDDEN, INPUT, CLASSES = 6, 4, 3, 5
"""Sizes T, H, I and K of the network. All differ, so that a wrong shape cannot fit by chance."""

TIME_STEP = 3
"""The time step, counted from 1, at which equations of a single step are measured. It is neither 1 nor T."""


@dataclass(frozen=True)
class ElmanSystem:
    """Elman network with data, for steps t = 1 … T.

    h_t = φ(W_ih x_t + W_hh h_{t-1} + b) and o_t = W_ho h_t + b_o. All tensors are float64. The equations of a note use
    either the `labels`, for a cross-entropy, or the `targets`, for a squared error.
    """

    seed: int  # of `random_system`, and of further random numbers of the experiments
    weight_ih: Tensor  # [hidden, input]
    weight_hh: Tensor  # [hidden, hidden]
    bias: Tensor  # [hidden]
    weight_ho: Tensor  # [classes, hidden]
    bias_o: Tensor  # [classes]
    initial_state: Tensor  # [hidden]
    inputs: Tensor  # [time, input]
    labels: Tensor  # [time, classes], each row with a single 1
    targets: Tensor  # [time, classes], any real numbers
    activation: Callable[[Tensor], Tensor] = torch.tanh

    @property
    def steps(self) -> int:
        """Number T of time steps."""
        return self.inputs.shape[0]

    @property
    def hidden_size(self) -> int:
        """Number H of hidden units."""
        return self.weight_hh.shape[0]


Loss: TypeAlias = Callable[[ElmanSystem], Tensor]


def random_system(seed: int, input_size: int = INPUT) -> ElmanSystem:
    """Draw a tanh network with T = 6, H = 4, K = 5 and h_0 ≠ 0.

    Args:
        seed: the seed of the network's generator; torch's global one is not used.
        input_size: I; with I = H the gradients of W_hh and W_ih have the same shape.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int, scale: float) -> Tensor:
        return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)

    drawn = torch.randint(CLASSES, (STEPS,), generator=generator)
    return ElmanSystem(
        seed=seed,
        weight_ih=normal(HIDDEN, input_size, scale=0.5),
        weight_hh=normal(HIDDEN, HIDDEN, scale=0.6),
        bias=normal(HIDDEN, scale=0.3),
        weight_ho=normal(CLASSES, HIDDEN, scale=0.8),
        bias_o=normal(CLASSES, scale=0.3),
        initial_state=normal(HIDDEN, scale=0.5),
        inputs=normal(STEPS, input_size, scale=0.8),
        labels=torch.nn.functional.one_hot(drawn, CLASSES).double(),
        targets=normal(STEPS, CLASSES, scale=1.0),
    )


def with_square_weight_ih(system: ElmanSystem) -> ElmanSystem:
    """Draw another network from the same seed, with I = H."""
    return random_system(system.seed, input_size=HIDDEN)


def without_biases(system: ElmanSystem) -> ElmanSystem:
    """Return the network without biases, as in [T] and in [Y]'s linear network."""
    return replace(system, bias=torch.zeros_like(system.bias), bias_o=torch.zeros_like(system.bias_o))


def linear(system: ElmanSystem) -> ElmanSystem:
    """Return the network of the example in [Y]: no activation and no biases."""
    return replace(without_biases(system), activation=torch.clone)


def next_state(system: ElmanSystem, t: int, state: Tensor) -> Tensor:
    """Compute h_t from `state`, which is h_{t-1}; both are [hidden]. Steps t count from 1, as in the notes."""
    preactivation = system.weight_ih @ system.inputs[t - 1] + system.weight_hh @ state + system.bias
    return system.activation(preactivation)


def states(system: ElmanSystem, disturbance: Tensor | None = None) -> Tensor:
    """Compute h_0 … h_T as [time + 1, hidden]; row t is h_t.

    `disturbance` [time, hidden] is added to each of h_1 … h_T as soon as the state is computed, so that it acts on all
    later states. The derivative by the row that is added to h_t, taken at zero, is the total derivative by h_t.
    """
    rows = [system.initial_state]
    for t in range(1, system.steps + 1):
        state = next_state(system, t, rows[-1])
        rows.append(state if disturbance is None else state + disturbance[t - 1])
    return torch.stack(rows)


def logits(system: ElmanSystem, disturbance: Tensor | None = None) -> Tensor:
    """Compute o_1 … o_T as [time, classes]; `disturbance` is that of `states`."""
    return states(system, disturbance)[1:] @ system.weight_ho.T + system.bias_o


def probabilities(system: ElmanSystem) -> Tensor:
    """Compute softmax(o_1) … softmax(o_T) as [time, classes]."""
    return torch.softmax(logits(system), dim=-1)


def tanh_slopes(system: ElmanSystem) -> Tensor:
    """Compute tanh' of the preactivations, 1 − h_t², as [time + 1, hidden].

    Row t belongs to h_t. Row 0 is not used, because h_0 is no value of tanh.
    """
    return 1 - states(system).square()


def softmax_jacobian(output: Tensor) -> Tensor:
    """Compute ∂p/∂o = diag(p) − p pᵀ as [classes, classes] from p = softmax(o), `output` [classes]."""
    return torch.diag(output) - torch.outer(output, output)


def cross_entropy(system: ElmanSystem) -> Tensor:
    """Compute J = −Σ_t Σ_k y_{k,t} ln softmax(o_t)_k, the loss of [MR] and [HSK].

    The y are the labels.
    """
    return -(system.labels * torch.log_softmax(logits(system), dim=-1)).sum()


def mean_squared_error(system: ElmanSystem) -> Tensor:
    """Compute F = (1/T) Σ_t ‖o_t − y_t‖², the loss for the equations of [Y].

    The y are the targets.
    """
    return (logits(system) - system.targets).square().sum() / system.steps


def last_squared_error(system: ElmanSystem) -> Tensor:
    """Compute E_N = ‖d_N − softmax(o_N)‖², the loss of [T].

    N is the last step T, and the d are the targets.
    """
    return (system.targets[-1] - probabilities(system)[-1]).square().sum()


def gradient(loss: Loss, parameter: str) -> Callable[[ElmanSystem], Derivative]:
    """Return a function from a network to ∂loss/∂parameter, such as `Equation.reference` takes.

    Args:
        loss: the function that is differentiated; its value may have any shape.
        parameter: the name of a tensor of the network.
    """

    def reference(system: ElmanSystem) -> Derivative:
        return Derivative(lambda value: loss(replace(system, **{parameter: value})), getattr(system, parameter))

    return reference
