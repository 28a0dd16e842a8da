"""Models built to have each verdict, measured and judged: weights and data are drawn anew for each of three seeds."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

import throughtime as tt
from throughtime.records import Finding, Verdict

INPUT, ROWS, OUTPUTS = 3, 6, 2
DOUBLE = torch.float64


class Model(nn.Module):
    """A recurrent layer and a readout of every step, or of the last."""

    def __init__(self, recurrent: nn.Module, last: bool = False) -> None:
        super().__init__()
        self.recurrent, self.last = recurrent, last
        self.readout = nn.LazyLinear(OUTPUTS, dtype=next(recurrent.parameters()).dtype)

    def forward(self, x):
        h = self.recurrent(x)[0]
        return self.readout(h[-1:] if self.last else h)


class Stack(Model):
    """Two recurrent modules, one above the other."""

    def __init__(self, below: nn.Module, above: nn.Module) -> None:
        super().__init__(above)
        self.below = below

    def forward(self, x):
        return super().forward(self.below(x)[0])


def _loss(output, y):
    return mse_loss(output, y[-len(output) :])


@dataclass
class Case:
    """What is measured, and what is to be found: the verdict, and the layer that is to be named ("": any)."""

    build: Callable[[], nn.Module]
    verdict: Verdict
    layer: str = "recurrent.l0"
    steps: int = 50
    wanted: int | None = None
    spoil: Callable[[torch.Tensor, torch.Tensor], None] = lambda x, y: None
    loss: Callable[..., torch.Tensor] = staticmethod(_loss)
    dtype: torch.dtype = DOUBLE

    def finding(self, seed: int) -> Finding:
        torch.manual_seed(seed)
        model = self.build()
        x = torch.randn(self.steps, ROWS, INPUT, dtype=self.dtype)
        y = torch.randn(self.steps, ROWS, OUTPUTS, dtype=self.dtype)
        self.spoil(x, y)
        finding = tt.gradient_flow(model, self.loss, x, y, wanted_lag=self.wanted, seed=seed).record.finding
        assert finding is not None
        return finding


def elman(start: Callable[[torch.Tensor], object], phi="tanh", hidden=24, inputs=1.0, dtype=DOUBLE, **more) -> tt.RNN:
    """Without biases; inputs of unit variance are brought to a size of `inputs`."""
    rnn = tt.RNN(INPUT, hidden, nonlinearity=phi, dtype=dtype, **more)
    with torch.no_grad():
        for name, parameter in rnn.named_parameters():
            if "weight_hh" in name:
                start(parameter)
            elif "weight_ih" in name:
                parameter.normal_(0, inputs / math.sqrt(parameter.shape[1]))
            else:
                parameter.zero_()
    return rnn


def gaussian(gain):
    """Eigenvalues in a disc of radius `gain`."""
    return lambda weight: weight.normal_(0, gain / math.sqrt(len(weight)))


def orthogonal(gain=1.0):
    return lambda weight: nn.init.orthogonal_(weight, gain)


def shifted(gain):
    """Each unit hands on to the one before, and the last to none: radius 0, norm `gain`."""
    return lambda weight: weight.copy_(gain * torch.diag(torch.ones(len(weight) - 1, dtype=weight.dtype), 1))


def pair(weight):
    """Radius 0.9, norm 10."""
    weight.copy_(torch.tensor([[0.9, 10.0], [0.0, 0.9]]))


def remembering(cell: type, steps: int, **more):
    """An LSTM or a GRU whose gates are biased to keep the state for so many steps; the rest as it is drawn."""
    rnn, start = cell(INPUT, 20, dtype=DOUBLE, **more), math.log(steps - 1)
    with torch.no_grad():
        for name, parameter in rnn.named_parameters():
            if "bias_ih" in name:
                gates = parameter.chunk(4 if cell is tt.LSTM else 3)
                gates[1].fill_(start)
                if cell is tt.LSTM:
                    gates[0].fill_(-start)
    return rnn


def strong(cell: type, gain: float):
    rnn = cell(INPUT, 24, dtype=DOUBLE)
    gaussian(gain * math.sqrt(len(rnn.weight_hh_l0) / 24))(rnn.weight_hh_l0.detach())
    return rnn


def shut():
    rnn = tt.GRU(INPUT, 20, dtype=DOUBLE)
    rnn.bias_ih_l0.detach()[20:40] = -4.0
    return rnn


def dead(layer=0, **more):
    rnn = elman(gaussian(1.0), "relu", **more)
    getattr(rnn, f"bias_ih_l{layer}").detach().fill_(-100.0)
    return rnn


def leaky():
    parameters = {"leak": torch.full((9,), 0.98, dtype=DOUBLE), "w": torch.randn(9, INPUT, dtype=DOUBLE) / 2}
    cell = tt.FunctionCell(
        lambda p, x, h: p["leak"] * h + (1 - p["leak"]) * torch.tanh(x @ p["w"].T), parameters, 9, input_size=INPUT
    )
    return tt.Recurrent(cell)


def from_torch():
    twin = nn.LSTM(INPUT, 20, dtype=DOUBLE)
    twin.load_state_dict(remembering(tt.LSTM, 50).state_dict())
    return tt.LSTM.from_torch(twin)


def nan_in_the_data(x, y):
    x[7, 2, 1] = math.nan


def nan_in_the_targets(x, y):
    y[7, 2, 1] = math.nan


def detached(output, y):
    return _loss(output.detach(), y)


HEALTHY = {
    "linear, orthogonal": Case(lambda: Model(elman(orthogonal(), "identity")), Verdict.HEALTHY),
    "tanh, orthogonal, small inputs": Case(lambda: Model(elman(orthogonal(), inputs=0.1)), Verdict.HEALTHY),
    "tanh, gain 1, three lags wanted": Case(lambda: Model(elman(gaussian(1.0))), Verdict.HEALTHY, wanted=3),
    "ReLU, identity": Case(lambda: Model(elman(nn.init.eye_, "relu", inputs=0.1)), Verdict.HEALTHY),
    "LSTM with a forget bias": Case(lambda: Model(remembering(tt.LSTM, 50)), Verdict.HEALTHY, wanted=49),
    "LSTM, loss at the last step": Case(lambda: Model(remembering(tt.LSTM, 50), last=True), Verdict.HEALTHY),
    "LSTM with a projection": Case(lambda: Model(remembering(tt.LSTM, 50, proj_size=7)), Verdict.HEALTHY),
    "LSTM as drawn, five lags wanted": Case(lambda: Model(tt.LSTM(INPUT, 20, dtype=DOUBLE)), Verdict.HEALTHY, wanted=5),
    "LSTM from torch": Case(lambda: Model(from_torch()), Verdict.HEALTHY),
    "LSTM in both directions": Case(
        lambda: Model(remembering(tt.LSTM, 50, bidirectional=True)), Verdict.HEALTHY, layer=""
    ),
    "LSTM in both directions, of which the last output sees one step": Case(
        lambda: Model(remembering(tt.LSTM, 50, bidirectional=True), last=True), Verdict.HEALTHY
    ),
    "GRU with an update bias": Case(lambda: Model(remembering(tt.GRU, 50)), Verdict.HEALTHY, wanted=49),
    "GRU of two layers": Case(lambda: Model(remembering(tt.GRU, 50, num_layers=2)), Verdict.HEALTHY, layer=""),
    "leaky function": Case(lambda: Model(leaky()), Verdict.HEALTHY),
}

SICK = {
    "tanh, gain 0.5": Case(lambda: Model(elman(gaussian(0.5))), Verdict.VANISHING),
    "LSTM as drawn, over 200 steps": Case(
        lambda: Model(tt.LSTM(INPUT, 20, dtype=DOUBLE)), Verdict.VANISHING, steps=200
    ),
    "GRU with shut update gates": Case(lambda: Model(shut()), Verdict.VANISHING),
    "tanh, gain 0.5, below an LSTM": Case(
        lambda: Stack(elman(gaussian(0.5), hidden=INPUT), remembering(tt.LSTM, 50)), Verdict.VANISHING, "below.l0"
    ),
    "tanh, both directions, gain 0.5": Case(
        lambda: Model(elman(gaussian(0.5), bidirectional=True)), Verdict.VANISHING, layer=""
    ),
    "tanh, large inputs": Case(lambda: Model(elman(orthogonal(), inputs=20.0)), Verdict.SATURATED),
    "linear, gain 1.2": Case(lambda: Model(elman(orthogonal(1.2), "identity")), Verdict.EXPLODING),
    "ReLU, gain 2.2": Case(lambda: Model(elman(gaussian(2.2), "relu", hidden=40)), Verdict.EXPLODING),
    "tanh, gain 3": Case(lambda: Model(elman(gaussian(3.0), hidden=64, inputs=0.1)), Verdict.CHAOTIC, steps=100),
    "LSTM, large weights": Case(lambda: Model(strong(tt.LSTM, 12.0)), Verdict.CHAOTIC, steps=100),
    "linear, not normal": Case(
        lambda: Model(elman(pair, "identity", hidden=2, inputs=0.01)), Verdict.TRANSIENT, steps=100
    ),
    "linear, not normal, too short to see the end": Case(
        lambda: Model(elman(pair, "identity", hidden=2, inputs=0.01)), Verdict.TRANSIENT, steps=15
    ),
    "tanh, not normal": Case(lambda: Model(elman(shifted(1.2), inputs=0.01)), Verdict.TRANSIENT),
    "tanh, not normal, below": Case(
        lambda: Model(elman(shifted(1.2), inputs=0.01, num_layers=2)), Verdict.TRANSIENT, layer=""
    ),
    "NaN in the data": Case(lambda: Model(elman(orthogonal())), Verdict.NON_FINITE, spoil=nan_in_the_data),
    "NaN in the targets": Case(
        lambda: Model(elman(orthogonal())), Verdict.NON_FINITE, layer="", spoil=nan_in_the_targets
    ),
    "ReLU that overflows": Case(
        lambda: Model(elman(gaussian(6.0), "relu", dtype=torch.float32)),
        Verdict.NON_FINITE,
        steps=200,
        dtype=torch.float32,
    ),
    "tanh whose gradient overflows": Case(
        lambda: Model(elman(gaussian(6.0), hidden=64, inputs=0.1, dtype=torch.float32)),
        Verdict.NON_FINITE,
        steps=400,
        dtype=torch.float32,
    ),
    "dead ReLU": Case(lambda: Model(dead()), Verdict.NO_GRADIENT),
    "dead ReLU above a live one": Case(lambda: Model(dead(1, num_layers=2)), Verdict.NO_GRADIENT, "recurrent.l1"),
    "detached loss": Case(lambda: Model(elman(orthogonal())), Verdict.NO_GRADIENT, loss=detached),
    "one step": Case(lambda: Model(elman(orthogonal())), Verdict.TOO_SHORT, layer="", steps=1),
}


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("case", [*HEALTHY.values(), *SICK.values()], ids=[*HEALTHY, *SICK])
def test_every_model_is_judged_as_it_was_built(case, seed):
    finding = case.finding(seed)
    assert finding.verdict is case.verdict, finding.sentence
    assert finding.layer == case.layer or not case.layer
    assert finding.sentence.startswith(case.verdict.value)
    if case.verdict is not Verdict.HEALTHY:
        assert finding.suggestions
