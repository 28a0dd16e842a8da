"""The gradient by lag by brute force: plain loops that autograd follows, and one gradient for the loss of each step."""

import math
from collections.abc import Callable

import numpy as np
import torch
from layers.comparison import filled, normal
from oracles import unrolled
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import throughtime as tt

T, B, INPUT, H = 11, 4, 3, 5


def leaky(p, x, h):
    return 0.7 * h + torch.tanh(x @ p["inward"].T + h @ p["back"].T)


def _torch_step(kind: Callable) -> Callable:
    def step(weights: dict[str, Tensor], x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        new = kind(x, state if kind is torch.lstm_cell else state[0], *(weights[name] for name in names))
        if not isinstance(new, tuple):
            return (new,)
        # Side by side and apart again: ∂/∂c_t at fixed h_t, as in ∂/∂s_t, and not by way of h_t = o tanh(c_t).
        return torch.cat(new, dim=-1).split(H, dim=-1)

    return step


STEPS = {
    "RNN": _torch_step(torch.rnn_tanh_cell),
    "LSTM": _torch_step(torch.lstm_cell),
    "GRU": _torch_step(torch.gru_cell),
    "function": lambda weights, x, state: (leaky(weights, x, state[0]),),
}


def layer(kind: str, seed: int = 3, **options) -> nn.Module:
    """A layer of that kind in float64 with a learned initial state; no parameter is zero."""
    options |= {"learn_initial_state": True, "dtype": torch.float64}
    if kind == "function":
        values = {"inward": torch.ones(H, INPUT), "back": torch.ones(H, H)}
        made = tt.Recurrent(leaky, parameters=values, hidden_size=H, input_size=INPUT, **options)
    else:
        made = getattr(tt, kind)(INPUT, H, **options)
    return filled(made, seed)


def resets() -> Tensor:
    there = torch.zeros(T, B, dtype=torch.bool)
    there[0, 3] = there[4, 0] = there[9, 0] = there[3, 3] = True
    return there


class Model(nn.Module):
    """A layer whose outputs and final state come out as [T, B, …], whatever form it was given its input in."""

    def __init__(self, rnn: nn.Module, form: str = "", lengths: list[int] | None = None, resets: Tensor | None = None):
        super().__init__()
        self.rnn, self.form, self.lengths, self.resets = rnn, form, lengths, resets

    def forward(self, x):
        first = getattr(self.rnn, "batch_first", False)
        options = {} if self.resets is None else {"resets": self.resets.T if first else self.resets}
        if self.form == "packed":
            packed = pack_padded_sequence(x, torch.tensor(self.lengths), enforce_sorted=False)
            assert isinstance(packed, PackedSequence)
            y, final = self.rnn(packed)
            y = pad_packed_sequence(y, total_length=len(x))[0]
        elif self.form == "unbatched":
            y, final = self.rnn(x[:, 0])
            y, final = y[:, None], tuple(one[:, None] for one in final) if isinstance(final, tuple) else final[:, None]
        else:
            options |= {} if self.lengths is None else {"lengths": self.lengths}
            y, final = self.rnn(x.transpose(0, 1) if first else x, **options)
            y = y.transpose(0, 1) if first else y
        return ((y, final if isinstance(final, tuple) else (final,)),)


def every_step(output: tuple, weights: Tensor) -> Tensor:
    """A loss at every step, with unequal weights, and of the final state."""
    y, finals = output
    return (weights[: len(y), : y.shape[1]] * y**2).sum() + final_state(output, weights)


def final_state(output: tuple, weights: Tensor) -> Tensor:
    return sum((member**2 * normal(50 + i, *member.shape).to(member)).sum() for i, member in enumerate(output[1]))  # type: ignore


def data(features: int) -> tuple[Tensor, Tensor]:
    return normal(7, T, B, INPUT), normal(8, T, B, features)


def _turned(steps: Tensor, lengths: list[int]) -> Tensor:
    rows = [torch.cat((steps[:n, row].flip(0), steps[n:, row])) for row, n in enumerate(lengths)]
    return torch.stack(rows, dim=1)


def _turned_resets(there: Tensor, lengths: list[int]) -> Tensor:
    turned = torch.zeros_like(there)
    for row, n in enumerate(lengths):
        for t in range(1, n):
            turned[n - t, row] = there[t, row]
    return turned


def profiles(kind: str, rnn, x: Tensor, weights: Tensor, loss: Callable, lengths=None, resets=None) -> dict[str, dict]:
    """Name → (t, row) in the recurrence's own order → (‖∂L_t/∂s_{t-k}‖ for k = 0, 1, … back to the last reset)."""
    lengths = [len(x)] * x.shape[1] if lengths is None else lengths
    ways = ["", "_reverse"] if rnn.bidirectional else [""]
    states, own_resets, finals, y = {}, {}, [], x
    for depth in range(rnn.num_layers):
        outputs = []
        for way in ways:
            name, index = f"l{depth}{way}", len(finals)
            values = {key.removesuffix(f"_{name}"): p for key, p in rnn.named_parameters() if key.endswith(f"_{name}")}
            start = [p[index].expand(x.shape[1], -1) for key, p in rnn.named_parameters() if key in ("h_0", "c_0")]
            own = resets if resets is None or not way else _turned_resets(resets, lengths)
            own_resets[name] = own
            given = _turned(y, lengths) if way else y
            step = lambda row, state, values=values: STEPS[kind](values, row, state)  # noqa: E731
            out, final, states[name] = unrolled(step, given, tuple(start), tuple(start), lengths, own)
            outputs.append(_turned(out, lengths) if way else out)
            finals.append(final)
        y = torch.cat(outputs, dim=-1)
    final = tuple(torch.stack(members) for members in zip(*finals, strict=True))
    cotangents = torch.autograd.grad(loss((y, final), weights), (y, *final), retain_graph=True, materialize_grads=True)
    found: dict[str, dict] = {name: {} for name in states}
    for row, n in enumerate(lengths):
        for t in range(n):
            parts = [(y[t, row] * cotangents[0][t, row]).sum()]
            for index in range(len(finals)):
                if t == (0 if ways[index % len(ways)] else n - 1):
                    parts += [(f[index, row] * g[index, row]).sum() for f, g in zip(final, cotangents[1:], strict=True)]
            for name, visited in states.items():
                at = n - 1 - t if name.endswith("_reverse") else t
                start = max(
                    [r for r in range(at + 1) if own_resets[name] is not None and own_resets[name][r, row]] + [0]
                )
                wanted = [member for k in range(at - start + 1) for member in visited[at - k, row]]
                got = torch.autograd.grad(
                    sum(parts), wanted, retain_graph=True, allow_unused=True, materialize_grads=True
                )
                members = len(visited[at, row])
                found[name][at, row] = [
                    math.hypot(*(float(g.norm()) for g in got[members * k : members * (k + 1)]))
                    for k in range(at - start + 1)
                ]
    return found


def curve(samples: dict, loss_at: Callable[[int, int], bool] = lambda t, row: True) -> dict:
    """The statistics of the steps that have a loss and reach back at least half as far as their row's farthest."""
    rows: dict[int, list] = {}
    for (t, row), profile in samples.items():
        if loss_at(t, row):
            rows.setdefault(row, []).append(profile)
    kept = [p for some in rows.values() for p in some if 2 * (len(p) - 1) >= max(map(len, some)) - 1]
    ratios = np.full((len(kept), max(map(len, kept))), np.nan)
    for i, profile in enumerate(kept):
        ratios[i, : len(profile)] = np.array(profile) / profile[0]
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)
    return {
        "mean": np.nanmean(ratios, axis=0),
        "quantiles": {str(level): np.nanquantile(ratios, level, axis=0) for level in levels},
        "samples": (~np.isnan(ratios)).sum(axis=0),
        "norm": np.median([p[0] for p in kept]),
    }
