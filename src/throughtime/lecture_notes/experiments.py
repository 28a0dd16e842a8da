"""Experiments on claims of [T] about the reach of gradients, and about clipping."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from throughtime.lecture_notes.base import Equation, EquationVerdict, ExperimentResult, Kind, Note, TorchValue
from throughtime.lecture_notes.differentiation import automatic
from throughtime.lecture_notes.systems import ElmanSystem, gradient, last_squared_error, logits, without_biases

VANISHED = 0.01
"""Norm of a derivative by an earlier state below which it counts as vanished."""

LONGEST = 400
"""Largest lag of the experiments, in time steps; a reach of `LONGEST` means that nothing vanished up to it."""

UNITS = 32
"""Hidden units of the networks whose reach is measured."""

THRESHOLD = 1.0
"""Threshold of the clipping experiments, for an entry or the norm of a gradient."""


def _gaussian(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _orthogonal(seed: int) -> Tensor:
    return torch.linalg.qr(_gaussian(seed, UNITS, UNITS))[0]


def _reach(jacobians: Tensor) -> int:
    """Return the first lag n at which ‖∂h_T/∂h_{T−n}‖ < VANISHED, or LONGEST.

    `jacobians` are J_1 … J_T as [LONGEST, hidden, hidden].
    """
    product = torch.eye(jacobians.shape[-1], dtype=torch.float64)
    for lag in range(1, LONGEST + 1):
        product = product @ jacobians[-lag]
        if torch.linalg.matrix_norm(product, 2) < VANISHED:
            return lag
    return LONGEST


def _linear_reach(gain: float, seed: int) -> int:
    return _reach((gain * _orthogonal(seed)).expand(LONGEST, UNITS, UNITS))


def _tanh_reach(gain: float, drive: float, seed: int) -> int:
    """Measure the reach in a random tanh network, driven by noise.

    The weights have variance gain²/H, and the noise at every unit has size `drive`.
    """
    weight = gain * _gaussian(seed, UNITS, UNITS) / math.sqrt(UNITS)
    state, jacobians = torch.zeros(UNITS, dtype=torch.float64), []
    for noise in _gaussian(seed + 1, LONGEST, UNITS):
        state = torch.tanh(weight @ state + drive * noise)
        jacobians.append((1 - state.square())[:, None] * weight)
    return _reach(torch.stack(jacobians))


def _reaches(system: ElmanSystem) -> ExperimentResult:
    numbers = {
        "half": _linear_reach(0.5, system.seed),
        "nine": _linear_reach(0.9, system.seed),
        "one": _linear_reach(1.0, system.seed),
        "quiet": _tanh_reach(0.8, 0.1, system.seed),
        "loud": _tanh_reach(0.8, 1.0, system.seed),
        "strong": _tanh_reach(3.0, 0.1, system.seed),
    }
    return ExperimentResult(numbers, shown=numbers["half"] < 8 and min(numbers["nine"], numbers["one"]) > 10)


def _lstm_reach(system: ElmanSystem) -> ExperimentResult:
    """Measure the reach of ∂c_T/∂c_{T−n} in torch's LSTM cell.

    All weights are zero, so that each step multiplies the derivative by the sigmoid of the forget bias.
    """

    def reach(bias: float) -> int:
        with torch.random.fork_rng(devices=[]):
            cell = torch.nn.LSTMCell(1, 3, dtype=torch.float64)
        for parameter in cell.parameters():
            torch.nn.init.zeros_(parameter)
        torch.nn.init.constant_(cell.bias_ih[3:6], bias)
        empty = torch.zeros(1, 1, dtype=torch.float64)
        state, memory = torch.zeros(1, 3, dtype=torch.float64), torch.ones(1, 3, dtype=torch.float64)
        jacobians = []
        for _ in range(LONGEST):
            before = memory.detach().requires_grad_()
            state, memory = cell(empty, (state.detach(), before))
            jacobians.append(torch.diag(torch.autograd.grad(memory.sum(), before)[0][0]))
        return _reach(torch.stack(jacobians))

    numbers = {"default": reach(0.0), "one": reach(1.0), "four": reach(4.0)}
    return ExperimentResult(numbers, shown=numbers["default"] < 8 < numbers["one"] < numbers["four"])


def _wrong_quantity(system: ElmanSystem) -> ExperimentResult:
    """Measure ‖∂E/∂W_hh‖ and the largest ∂p/∂w_ij with targets of usual size, and a million times larger."""
    network = without_biases(system)
    far = replace(network, targets=1e6 * network.targets)

    def by_recurrent_weight(of: ElmanSystem) -> tuple[float, float]:
        loss = automatic(gradient(last_squared_error, "weight_hh")(of)).norm().item()
        outputs = automatic(gradient(lambda changed: torch.softmax(logits(changed)[-1], -1), "weight_hh")(of))
        return loss, outputs.abs().max().item()

    near_loss, near_output = by_recurrent_weight(network)
    far_loss, far_output = by_recurrent_weight(far)
    numbers = {"near": near_loss, "far": far_loss, "output": near_output}
    return ExperimentResult(numbers, shown=far_loss > 1e4 * near_loss and far_output == near_output)


def _one_sided(system: ElmanSystem) -> ExperimentResult:
    """Apply the note's test of single entries to two gradients that are far above the threshold."""
    negative = torch.tensor([-1000.0, 0.5], dtype=torch.float64)
    many = torch.full((10_000,), 0.9, dtype=torch.float64)
    numbers = {
        "largest": negative.min().item(),
        "norm": many.norm().item(),
        "flagged": float((negative > THRESHOLD).any() or (many > THRESHOLD).any()),
    }
    return ExperimentResult(numbers, shown=numbers["flagged"] == 0 and numbers["norm"] > 10 * THRESHOLD)


def _large_gradients(system: ElmanSystem) -> Tensor:
    """Return two gradients of W_hh far above the threshold, nearly opposite. The shape is [2, hidden, hidden]."""
    network = without_biases(system)
    far = [replace(network, targets=factor * network.targets) for factor in (1e6, -1e6)]
    return torch.stack([automatic(gradient(last_squared_error, "weight_hh")(of)) for of in far])


def _entrywise_clipped(system: ElmanSystem) -> Tensor:
    return torch.stack([torch.where(G > THRESHOLD, G / G.norm(), G) for G in _large_gradients(system)])


def _clipped(system: ElmanSystem) -> Tensor:
    return torch.stack([G * min(1.0, THRESHOLD / G.norm().item()) for G in _large_gradients(system)])


def _torch_clipped(system: ElmanSystem) -> TorchValue:
    clipped = []
    for large in _large_gradients(system):
        parameter = torch.nn.Parameter(torch.zeros_like(large))
        parameter.grad = large.clone()
        torch.nn.utils.clip_grad_norm_([parameter], THRESHOLD)
        clipped.append(parameter.grad)
    return TorchValue(torch.stack(clipped), "torch.nn.utils.clip_grad_norm_")


CLIPPING = "at each step t: if δ = ∂p/∂w_ij > threshold, normalise the gradient"

EXPERIMENTS: tuple[Equation, ...] = (
    Equation(
        note=Note.T,
        number="8–10 steps",
        kind=Kind.CLAIM,
        statement="BPTT works up to 8–10 steps; beyond that the gradient vanishes",
        experiment=_reaches,
        verdict=EquationVerdict.CONDITIONAL,
        explanation="No constant: the lag at which ‖∂h_T/∂h_{{T−n}}‖ < 0.01 is {half:.0f}, {nine:.0f} and ≥ {one:.0f} "
        "for 0.5, 0.9 and 1 times an orthogonal W_hh, and {quiet:.0f}, {loud:.0f}, {strong:.0f} for random tanh nets "
        "of gain 0.8 with weak input, gain 0.8 with strong input, gain 3 with weak input (400: the longest looked at).",
    ),
    Equation(
        note=Note.T,
        number="LSTM",
        kind=Kind.CLAIM,
        statement="beyond 8–10 steps: LSTM is born",
        experiment=_lstm_reach,
        verdict=EquationVerdict.CONDITIONAL,
        explanation="Along the cell state the derivative is the product of the forget gates: with zero weights it is "
        "below 0.01 after {default:.0f} steps at forget bias 0, {one:.0f} at 1 and {four:.0f} at 4.",
    ),
    Equation(
        note=Note.T,
        number="clipping",
        reading="the quantity",
        kind=Kind.CLAIM,
        statement=CLIPPING,
        experiment=_wrong_quantity,
        verdict=EquationVerdict.WRONG_QUANTITY,
        explanation="∂p/∂w_ij is no gradient of the loss: with targets 10⁶ times larger ‖∂E/∂W_hh‖ goes from "
        "{near:.1e} to {far:.1e} and the largest ∂p/∂w_ij stays at {output:.3f}.",
    ),
    Equation(
        note=Note.T,
        number="clipping",
        reading="the test",
        kind=Kind.CLAIM,
        statement=CLIPPING,
        experiment=_one_sided,
        verdict=EquationVerdict.WRONG_QUANTITY,
        explanation="A one-sided test of single entries against a threshold of 1 misses the entry {largest:.0f}, and "
        "10 000 entries of 0.9 whose norm is {norm:.0f}.",
    ),
    Equation(
        note=Note.T,
        number="clipping",
        reading="the rescaling",
        kind=Kind.DEFINITION,
        statement="G = ∂E/∂W_hh with entries above the threshold c divided by ‖G‖; correct: G · min(1, c/‖G‖)",
        printed=_entrywise_clipped,
        corrected=_clipped,
        reference=_torch_clipped,
        verdict=EquationVerdict.WRONG_QUANTITY,
        explanation="Even on the loss gradient, handling single entries turns its direction and leaves large negative "
        "ones; scaling the whole by its norm is {source}.",
    ),
)
