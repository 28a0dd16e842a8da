"""Records made by hand: a rich run, its diagnoses before and after, and how to put them into a folder."""

import cmath
import math
import random
from dataclasses import replace
from pathlib import Path

from throughtime.records import (
    CONFIG,
    STEP_NORMS,
    UPDATES,
    Activation,
    Baselines,
    DataRecord,
    Finding,
    Flow,
    GainMap,
    Horizon,
    LagCurve,
    LagShare,
    LayerFlow,
    Lyapunov,
    MatrixSpectrum,
    MetricsRow,
    ModelRecord,
    Outcome,
    Record,
    Results,
    Role,
    Spectrum,
    StepNormRow,
    Units,
    UpdateRow,
    Verdict,
    write_flows,
    write_metrics,
    write_record,
    write_table,
)

GATES = {"input gate": Role.GATE, "forget gate": Role.KEEP, "candidate": Role.CONTENT, "output gate": Role.GATE}
BASELINES = Baselines(uniform=4.5, unigram=3.1, bigram=2.4)


def record(cell="lstm", layers=2, **changes) -> Record:
    """The record of a finished run on a text."""
    made = Record(
        data=DataRecord("/data/a book.txt", "5e" * 32, 123457, "characters", "utf-8", 99991, 11113, "abc é<&>"),
        model=ModelRecord(cell, "tanh", 13, layers, 8, 0.1, 20011),
        baselines=BASELINES,
        reproduce="throughtime train --config runs/book/config.yaml",
        versions={"throughtime": "0.1.0", "torch": "2.13.0"},
        machine={"platform": "Linux", "processor": "x86_64", "threads": 2, "kernel": "lstm avx2", "gradient": "BPTT()"},
        outcome=Outcome.FINISHED,
        results=Results(900, 3.0, 1.875, 800, 1.9, 51000.0, 93.5),
    )
    return replace(made, **changes)


def metrics(count=9) -> list[MetricsRow]:
    """Falling losses."""
    return [
        MetricsRow(100 * (i + 1), (i + 1) / 3, 1.7 + 2.2 * 0.6**i, 1.875 + 2 * 0.62**i, 2e-3, 0.9, 0.25, 5e4, 10.5 * i)
        for i in range(count)
    ]


def updates(count=900) -> list[UpdateRow]:
    """Norms with some peaks, which a threshold of 1.25 cuts; the 7th is not finite and was skipped."""
    chance, rows = random.Random(3), []
    for i in range(count):
        norm = math.inf if i == 6 else math.exp(chance.gauss(-0.6 - i / 900, 0.6))
        scale = 0.0 if i == 6 else min(1.0, 1.25 / norm)
        rows.append(UpdateRow(i + 1, 4.5 * 0.999**i, norm, scale, 0.125 if i % 9 == 0 else 0.0))
    return rows


def step_norms(layers=2, updates=45, steps=35) -> list[StepNormRow]:
    """Norms that decay towards the early steps, less so later in training; small ones of a narrow range above."""
    return [
        StepNormRow(
            20 * u + 1,
            f"recurrent.l{depth}",
            t,
            math.exp(-(steps - 1 - t) * (0.5 - 0.008 * u) / (1 + 7 * depth) - 6 * depth),
        )
        for u in range(updates)
        for depth in range(layers)
        for t in range(steps)
    ]


def _circle(count: int, radius: float, seed: int) -> list[list[float]]:
    chance = random.Random(seed)
    dots = [cmath.rect(radius * math.sqrt(chance.random()), 2 * math.pi * chance.random()) for _ in range(count // 2)]
    return [[dot.real, sign * dot.imag] for dot in dots for sign in (1, -1)] + [[radius, 0.0]]


def matrix(radius: float, seed: int, size=13) -> MatrixSpectrum:
    """A block of recurrent weights, somewhat non-normal."""
    powers = [1.0 if k == 0 else 2.1 * k**0.5 * radius**k for k in range(31)]
    singular = [2.0 * radius * 0.85**i for i in range(size)]
    return MatrixSpectrum(_circle(size - 1, radius, seed), singular, radius, 0.375, powers)


def lag_curve(decay: float, lags=34) -> LagCurve:
    """Exponential decay with a spread that widens."""

    def at(shift: float) -> list[float]:
        return [math.exp(-decay * k + shift * 0.35 * math.sqrt(k)) for k in range(lags + 1)]

    quantiles = {"0.05": at(-1.6), "0.25": at(-0.7), "0.5": at(0), "0.75": at(0.7), "0.95": at(1.6)}
    return LagCurve(at(0.4), quantiles, [7 * (lags + 1 - k) for k in range(lags + 1)], 0.0421)


def gains(decay: float, steps=35) -> GainMap:
    """Lower triangle, decaying from the diagonal."""
    marks = list(range(0, steps, 2))
    rows = [[math.exp(-decay * (t - r)) if r <= t else math.nan for r in marks] for t in marks]
    return GainMap(marks, marks, rows, [[2 * value for value in row] for row in rows])


def activations(shift: float) -> list[Activation]:
    """An LSTM's gates and state."""
    made = []
    for number, (name, role) in enumerate(GATES.items()):
        low = -1.0 if role is Role.CONTENT else 0.0
        weights = [math.exp(-((i - 9 - 2 * number + shift) ** 2) / 30) for i in range(20)]
        histogram = [one / sum(weights) for one in weights]
        edges = [low + (1 - low) * i / 20 for i in range(21)]
        constants = [1.5, 2.5, 6.0, 19.0, math.inf] if role is Role.KEEP else []
        made.append(
            Activation(name, role, low, 1.0, 0.45, histogram[0], 0.07 + 0.1 * number, histogram, edges, constants)
        )
    return made


def layer(name="recurrent.l0", decay=0.12, cell="LSTMCell", steps=35, size=26) -> LayerFlow:
    """One layer with everything that a diagnosis can hold."""
    total = [0.04 * math.exp(-decay * (steps - 1 - t) + 0.1 * math.sin(t)) for t in range(steps)]
    gated = cell == "LSTMCell"
    members = {"h": [0.6 * x for x in total], "c": [0.8 * x for x in total]} if gated else {"h": total}
    blocks = (
        {gate: matrix(0.5 + 0.12 * i, i) for i, gate in enumerate(GATES)} if gated else {"weight_hh": matrix(0.9, 1)}
    )
    jacobians = _circle(60, math.exp(-decay), 9)
    exponents = [-decay - 0.09 * i for i in range(size)]
    exponents[-2:] = [-math.inf, -math.inf]
    return LayerFlow(
        name=name,
        cell=cell,
        linear=False,
        size=size,
        by_step=total,
        by_member=members,
        clipped=0.0,
        by_lag=lag_curve(decay, steps - 1),
        horizons=[
            Horizon(math.exp(-1), 1 / decay, 0.8 / decay, 1.3 / decay, steps - 1),
            Horizon(0.01, math.inf if 4.6 / decay > steps - 1 else 4.6 / decay, 3.9 / decay, math.inf, steps - 1),
        ],
        shares=[
            LagShare(a, b, 3.0 * math.exp(-decay * a)) for a, b in ((0, 1), (1, 2), (2, 4), (4, 8), (8, 16), (16, 35))
        ],
        gains=gains(decay, steps),
        spectrum=Spectrum(blocks, jacobians, [1.3, 1.2, 1.1], [0.9, 0.85, 0.8], None if gated else 1.02),
        lyapunov=Lyapunov(exponents, [0.01 + 0.004 * i for i in range(size)], 350, 7, 20),
        activations=activations(3 * decay) if gated else [],
        units=Units(13, 2, [0.5 - 0.3 * math.exp(-t / 5) for t in range(steps)], 0.8),
    )


def flow(layers=2, update=900, decay=0.12, cell="LSTMCell", steps=35) -> Flow:
    """A diagnosis of a model that forgets too fast."""
    finding = Finding(
        Verdict.VANISHING,
        "recurrent.l0",
        {"horizon": 4.6 / decay, "wanted_lag": 34.0, "of_tomorrow": 1.5},
        f"The gradient vanishes in recurrent.l0: after {4.6 / decay:.1f} steps 1 % is left of it, and 34 are wanted.",
        [
            "Raise the forget gate's bias to 1: its median time constant is 6 steps.",
            "Start W_hh orthogonal: σ_max is 1.1.",
        ],
    )
    made = [layer(f"recurrent.l{depth}", decay * (1 + 0.5 * depth), cell, steps) for depth in range(layers)]
    return Flow(update, steps, 7, 2.125, 34, made, None, finding, 3.25)


def write_run(folder: Path, layers=2, cell="LSTMCell") -> Path:
    """A run folder with every record."""
    folder.mkdir(parents=True)
    write_record(folder, record(cell.removesuffix("Cell").lower(), layers))
    write_metrics(folder, metrics())
    write_table(folder / UPDATES, UpdateRow, updates())
    write_table(folder / STEP_NORMS, StepNormRow, step_norms(layers))
    write_flows(folder, [flow(layers, 1, 0.45, cell), flow(layers, 900, 0.12, cell)])
    (folder / CONFIG).write_text("file: /data/a book.txt\nhidden_size: 13\n", encoding="utf-8")
    return folder
