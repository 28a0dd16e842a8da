"""How the gradient of a model's loss flows through time: everything that is measured, in one record."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from throughtime.cells.base import check_size
from throughtime.diagnosis.capture import CapturedLayer, capture, clipped_steps, joint_norms
from throughtime.diagnosis.gains import gain_map
from throughtime.diagnosis.horizons import horizons_of
from throughtime.diagnosis.lag_curves import profiles_of
from throughtime.diagnosis.lyapunov import lyapunov_of
from throughtime.diagnosis.nonfinite import first_nonfinite, is_finite
from throughtime.diagnosis.saturation import activations_of, units_of
from throughtime.diagnosis.shares import shares_of
from throughtime.diagnosis.spectra import spectrum_of
from throughtime.diagnosis.verdict import judge
from throughtime.errors import ArgumentError, NonFiniteError
from throughtime.models.recording import RecordedRun
from throughtime.records import Finding, Flow, GainMap, Horizon, LagCurve, LayerFlow, Lyapunov, Spectrum, Verdict
from throughtime.report import figure_of_flow, page_of_flow
from throughtime.sequences.autocast import without_autocast
from throughtime.sequences.norms import row_norm
from throughtime.sequences.sequence import valid_steps

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Options:
    """What the parts of a diagnosis are told."""

    samples: int
    exact_gains: bool
    generator: torch.Generator
    say: Callable[[str], None]


def _lags(layer: CapturedLayer, options: Options) -> dict[str, dict[str, Any]]:
    profiles = profiles_of(layer, options.samples, options.generator)
    return {
        name: {"by_lag": one.curve(), "horizons": horizons_of(one, options.generator)}
        for name, one in profiles.items()
        if one is not None
    }


def _affordable_jacobians(run: RecordedRun) -> int:
    return max(2, min(JACOBIANS, CUBES // sum(run.cell.state_sizes.values()) ** 3))


def _lyapunov(run: RecordedRun) -> Lyapunov | None:
    size, (steps, rows) = sum(run.cell.state_sizes.values()), run.sequence.shape
    affordable = max(1, NUMBERS // (steps * size**2))
    try:
        return lyapunov_of(run, min(EXPONENTS, size), rows=min(ROWS, rows, affordable))
    except NonFiniteError:  # a Jacobian may overflow where the states do not
        return None


OF_A_LAYER: dict[str, Callable[[CapturedLayer, Options], dict[str, dict[str, Any]]]] = {"lags": _lags}
"""The parts that need a layer's graph: part → for each recurrence by name what it fills in of its `LayerFlow`."""

OF_A_RUN: dict[str, Callable[[RecordedRun, Options], dict[str, Any]]] = {
    "shares": lambda run, options: {"shares": shares_of(run)},
    "gains": lambda run, options: {"gains": gain_map(run, options.generator, options.exact_gains)},
    "spectrum": lambda run, options: {"spectrum": spectrum_of(run, _affordable_jacobians(run))},
    "lyapunov": lambda run, options: {"lyapunov": _lyapunov(run)},
    "activations": lambda run, options: {"activations": activations_of(run), "units": units_of(run)},
}
"""The parts that need one recurrence as it was run: part → what it fills in of its `LayerFlow`."""

EXPONENTS, ROWS, NUMBERS = 32, 4, 2**28
"""How many leading Lyapunov exponents are computed, along how many rows, and of how many entries of Jacobians at most.

One row is always followed.
"""
JACOBIANS, CUBES = 16, 2**29
"""Of how many J_t the eigenvalues are computed at most, and how many S³ that may cost; two at least."""

PARTS = (*OF_A_LAYER, *OF_A_RUN)


@dataclass(frozen=True)
class GradientFlow:
    """What `gradient_flow` found; `print` shows it in short.

    Attributes:
        record: all of it as plain numbers, see `throughtime.records.Flow`; the rest reads them by layer.
    """

    record: Flow

    @property
    def by_step(self) -> dict[str, list[float]]:
        """Layer → ‖∂L/∂s_t‖ of each step, root mean square over rows."""
        return {layer.name: layer.by_step for layer in self.record.layers}

    @property
    def by_lag(self) -> dict[str, LagCurve | None]:
        """Layer → ‖∂L_t/∂s_{t-k}‖ / ‖∂L_t/∂s_t‖ by lag k; None where there is no gradient, or it was not asked for."""
        return {layer.name: layer.by_lag for layer in self.record.layers}

    @property
    def horizon(self) -> dict[str, list[Horizon]]:
        """Layer → the lags at which the gradient has fallen to 1/e and to 1 %."""
        return {layer.name: layer.horizons for layer in self.record.layers}

    @property
    def jacobian_norms(self) -> dict[str, GainMap | None]:
        """Layer → ‖∂s_t/∂s_r‖ as a map."""
        return {layer.name: layer.gains for layer in self.record.layers}

    @property
    def spectrum(self) -> dict[str, Spectrum | None]:
        """Layer → eigenvalues and singular values of its recurrent weights and of its states' Jacobians."""
        return {layer.name: layer.spectrum for layer in self.record.layers}

    @property
    def lyapunov(self) -> dict[str, Lyapunov | None]:
        """Layer → Lyapunov exponents."""
        return {layer.name: layer.lyapunov for layer in self.record.layers}

    @property
    def finding(self) -> Finding:
        """The verdict with what decided it, in numbers and in words, and what to try."""
        assert self.record.finding is not None
        return self.record.finding

    @property
    def verdict(self) -> Verdict:
        """What the flow is like, in one word."""
        return self.finding.verdict

    def plot(self) -> "Figure":
        """The report's figures on one matplotlib figure, which a notebook shows; needs `throughtime[report]`."""
        return figure_of_flow(self.record)

    def to_html(self, path: Path | str, title: str = "Gradient flow") -> Path:
        """Write the report of this diagnosis: one page without a network, and its numbers beside it as .json.

        Raises:
            ArgumentError: no page can lie at `path`.
            RunFolderError: the page cannot be written.
            UnsupportedError: matplotlib or jinja2 is not installed (`throughtime[report]`).
        """
        return page_of_flow(self.record, path, title).page

    def __str__(self) -> str:
        record = self.record
        lines = [f"loss {record.loss:.4g} over {record.steps} steps of {record.rows} rows"]
        lines.append(self.finding.sentence)
        heads = ("‖∂L/∂s‖ first", "last", "horizon 1/e", "horizon 1 %", "λ1")
        rows = {layer.name: _cells(layer) for layer in record.layers}
        name = max(map(len, rows), default=0)
        widths = [max(len(head), *(len(row[i]) for row in rows.values())) for i, head in enumerate(heads)]
        for label, row in {"": heads, **rows}.items():
            lines.append("  ".join([f"{label:{name}}", *map(str.rjust, row, widths)]))
        lines += [f"try: {suggestion}" for suggestion in self.finding.suggestions]
        return "\n".join(lines)


def _cells(layer: LayerFlow) -> tuple[str, ...]:
    horizons = [
        f"> {one.observed}" if one.lag == float("inf") else f"{one.lag:.3g} ({one.low:.3g} … {one.high:.3g})"
        for one in layer.horizons
    ] or ["-", "-"]
    largest = f"{layer.lyapunov.exponents[0]:.3g}" if layer.lyapunov is not None else "-"
    return f"{layer.by_step[0]:.3g}", f"{layer.by_step[-1]:.3g}", *horizons, largest


def gradient_flow(
    model: nn.Module,
    loss: Callable[[Tensor, Any], Tensor],
    x: Any,
    y: Any,
    *,
    wanted_lag: int | None = None,
    samples: int = 64,
    parts: Collection[str] = PARTS,
    exact_gains: bool = False,
    seed: int = 0,
    say: Callable[[str], None] | None = None,
) -> GradientFlow:
    """How the gradient of loss(model(x), y) flows through time, in every recurrent layer of ours.

    s_t is a recurrence's state, all members side by side, and L_t the part of the loss that enters its layer at step
    t. What is measured is the exact gradient, whatever method and clipping the layers train with, in the mode the
    model is in, with one draw of dropout's masks.

    Args:
        model: model(x) returns the output, or a tuple whose first element is the output. Each layer is called once.
        loss: loss(output, y), a scalar.
        wanted_lag: how many steps back the gradient is wanted, by which vanishing is judged; None: half the steps.
        samples: how many (t, row) the gradient by lag is taken over, about; at most 16 of each row.
        parts: what to measure beside ‖∂L/∂s_t‖ by step: "lags" (the gradient by lag, and its horizons), "shares"
            (what each lag contributes to the weights' gradient), "gains" (the map of ‖∂s_t/∂s_r‖), "spectrum" (of the
            weights and of J_t), "lyapunov" (the 32 leading exponents, along 1 to 4 rows), "activations" (saturation,
            time constants of gates, dead units). The verdict is made of what was measured.
        exact_gains: form the products of Jacobians instead of estimating their norms, and give their spectral norms
            too; for small states.
        seed: for what is drawn: samples, intervals, probes. torch's own generators are left alone.
        say: is told of each layer and part before it is measured, such as "rnn.l0: lyapunov", for long work.

    Returns:
        The flow by layer, named as a tap names them ("rnn.l0", "rnn.l0_reverse"). A number that is not finite raises
        nothing: the record says where it came up first, and has the rest as far as it can be had. Nothing about the
        model is changed: its methods, gradients, buffers, mode and hooks are as before.

    Raises:
        ArgumentError: where the model has no recurrent layer of ours, one of torch.nn's beside it, or calls one twice
            or none, where there are no steps or rows, the loss is no scalar, or an option is out of its range.

    Cost: 2 + samples / B backward passes, O(T·B·S²) each; the shares T²·S² for as many rows as a fixed budget allows
    (`diagnosis.shares`); the gain map T·200·S². With T = 1000, H = 256, B = 16 and all parts 1 to 5 s on one core.
    Memory as for training with BPTT(save="states"), and three tensors more of the size of the states. Not for
    every step of training: there a tap costs next to nothing.

    Examples:
        >>> rnn = tt.RNN(1, 1, nonlinearity="identity", dtype=torch.float64)
        >>> _ = rnn.weight_hh_l0.data.fill_(0.9)
        >>> x = torch.randn(80, 3, 1, dtype=torch.float64)
        >>> flow = gradient_flow(rnn, torch.nn.functional.mse_loss, x, 0 * x)
        >>> [round(horizon.lag, 3) for horizon in flow.horizon["l0"]]  # -1 / ln 0.9, ln 0.01 / ln 0.9
        [9.491, 43.709]
    """
    _check(wanted_lag, samples, parts, seed)
    began = time.perf_counter()
    with torch.inference_mode(False):  # in it there would be no graph
        captured = capture(model, loss, x, y)
        clipped = clipped_steps(model, loss, x, y)
        options = Options(samples, exact_gains, torch.Generator().manual_seed(seed), say or (lambda _: None))
        layout, device = captured.layers[0].call.layout, captured.layers[0].call.outputs.device
        with without_autocast(device):
            nonfinite = first_nonfinite(model, captured)
            layers = [
                replace(one, **filled.get(one.name, {}))
                for layer in captured.layers
                for filled in [_filled(layer, parts, options)]
                for one in _by_step(layer, clipped)
            ]
    wanted = max(1, layout.steps // 2) if wanted_lag is None else wanted_lag
    flow = Flow(None, layout.steps, layout.rows, captured.loss, wanted, layers, nonfinite, None, 0.0)
    return GradientFlow(replace(flow, finding=judge(flow), seconds=time.perf_counter() - began))


def _check(wanted_lag: object, samples: object, parts: object, seed: object) -> None:
    if wanted_lag is not None:
        check_size("wanted_lag", wanted_lag, least=1)
    check_size("samples", samples, least=1)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ArgumentError(f"seed is {seed!r}; it must be a whole number")
    if isinstance(parts, str) or not isinstance(parts, Collection) or not set(parts) <= set(PARTS):
        raise ArgumentError(f"parts is {parts!r}; it must be some of {', '.join(map(repr, PARTS))}, such as ['lags']")


def _filled(layer: CapturedLayer, parts: Collection[str], options: Options) -> dict[str, dict[str, Any]]:
    """For each recurrence what the parts fill in; nothing for one that computed something that is no finite number."""
    filled: dict[str, dict[str, Any]] = {name: {} for name, run in layer.runs.items() if is_finite(run)}
    for part in (part for part in OF_A_LAYER if part in parts and filled):
        options.say(f"{', '.join(filled)}: {part}")
        for name, values in OF_A_LAYER[part](layer, options).items():
            filled.get(name, {}).update(values)
    for part in (part for part in OF_A_RUN if part in parts):
        for name, values in filled.items():
            options.say(f"{name}: {part}")
            values |= OF_A_RUN[part](layer.runs[name], options)
    return filled


def _by_step(layer: CapturedLayer, clipped: dict[str, int]) -> list[LayerFlow]:
    """What is known of each recurrence from the full backward pass."""
    flows = []
    for name, run in layer.runs.items():
        assert run.tap is not None
        there = valid_steps(len(run.sequence.x), layer.lengths)
        rows, valid = there.sum(1).clamp(min=1), int(there.sum())
        flows.append(
            LayerFlow(
                name,
                type(run.cell).__name__,
                run.cell.linear,
                sum(run.cell.state_sizes.values()),
                _root_mean_square(joint_norms(run), rows),
                {member: _root_mean_square(norms, rows) for member, norms in run.tap.norms.items()},
                clipped.get(name, 0) / max(1, valid),
            )
        )
    return flows


def _root_mean_square(norms: Float[Tensor, "time batch"], rows: Int[Tensor, " time"]) -> list[float]:
    """Over the rows that have the step; 0 where none has."""
    return (row_norm((norms.double(),)) / rows.double().sqrt()).tolist()
