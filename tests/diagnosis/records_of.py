"""Records made by hand, for what is decided from records alone."""

import math
import re
from typing import Any

from throughtime.records import (
    Activation,
    CellTraits,
    Flow,
    Horizon,
    KeepGate,
    LagCurve,
    LayerFlow,
    Lyapunov,
    MatrixSpectrum,
    Role,
    Spectrum,
    Units,
)


def curve(*medians: float, samples: int = 40) -> LagCurve:
    return LagCurve([2 * one for one in medians], {"0.5": list(medians)}, [samples] * len(medians), 0.5)


def decay(factor: float, lags: int = 30) -> LagCurve:
    return curve(*(factor**k for k in range(lags + 1)))


def lyapunov(exponent: float, error: float) -> Lyapunov:
    return Lyapunov([exponent, exponent - 1], [error, error], 90, 3, 7)


def activation(name="h", role=Role.CONTENT, low=-1.0, high=1.0, full=0.1, time_constants=()) -> Activation:
    return Activation(name, role, low, high, 0.1, full / 2, full / 2, [0.05] * 20, [0.0] * 21, list(time_constants))


def units(*state_norms: float, dead: int = 0, preactivation: float = math.nan) -> Units:
    return Units(5, dead, list(state_norms), preactivation)


def spectrum(radius: float) -> Spectrum:
    matrix = MatrixSpectrum([[radius, 0.0]], [10.0], radius, 0.9, [1.0, 10.0])
    return Spectrum({"weight_hh": matrix}, [], [], [], None)


def horizon(lag: float, low: float, high: float, level: float = 0.01) -> Horizon:
    return Horizon(level, lag, low, high, 30)


TRAITS = {
    "ElmanCell": CellTraits(affine=True, bias=True, slope_bound=1.0),
    "LSTMCell": CellTraits(affine=True, bias=True, keep=KeepGate("forget gate", 1, 4, writes=0)),
    "GRUCell": CellTraits(affine=True, bias=True, keep=KeepGate("update gate", 1, 3)),
    "FunctionCell": CellTraits(),
}


def layer(name="recurrent.l0", cell="ElmanCell", linear=False, by_step=(0.5, 0.25, 2.0), **more: Any) -> LayerFlow:
    place = re.search(r"l(\d+)(_reverse)?$", name)
    usual: dict[str, Any] = {"depth": int(place[1]), "reverse": bool(place[2])} if place else {}
    usual["traits"] = TRAITS[cell]
    return LayerFlow(name, cell, linear, 5, list(by_step), {"h": list(by_step)}, 0.0, **usual | more)


def flow(*layers: LayerFlow, steps=31, wanted=25, nonfinite=None, loss=1.25) -> Flow:
    return Flow(None, steps, 7, loss, wanted, list(layers), nonfinite, None, 0.5)
