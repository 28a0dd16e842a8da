"""Measure how the gradient of a model's loss flows through time, in one record."""

import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from throughtime.checks import check_size
from throughtime.diagnosis.capture import capture
from throughtime.diagnosis.clipped_steps import clipped_steps
from throughtime.diagnosis.first_nonfinite import first_nonfinite
from throughtime.diagnosis.parts import PARTS, Options, layer_flows
from throughtime.diagnosis.verdict import judge
from throughtime.errors import ArgumentError
from throughtime.inference_mode import records_graphs
from throughtime.records import Finding, Flow, GainMap, Horizon, LagCurve, LayerFlow, Lyapunov, Spectrum, Verdict
from throughtime.sequences.autocast import without_autocast

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class GradientFlow:
    """The flow of a gradient through time; `print` shows a summary.

    Attributes:
        record: all numbers, see `throughtime.records.Flow`; the properties give parts of it by layer.
    """

    record: Flow

    @property
    def by_step(self) -> dict[str, list[float]]:
        """Layer → ‖∂L/∂s_t‖ of each step, root mean square over rows."""
        return {layer.name: layer.by_step for layer in self.record.layers}

    @property
    def by_lag(self) -> dict[str, LagCurve | None]:
        """Layer → ‖∂L_t/∂s_{t-k}‖ / ‖∂L_t/∂s_t‖ by lag k; None without a gradient, or without that part."""
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
        """Verdict with its deciding numbers, a sentence, and suggestions."""
        assert self.record.finding is not None
        return self.record.finding

    @property
    def verdict(self) -> Verdict:
        """The kind of flow, such as "vanishing"."""
        return self.finding.verdict

    def plot(self) -> "Figure":
        """Draw the report's figures on one matplotlib figure; needs `throughtime[report]`."""
        from throughtime.report import figure_of_flow

        return figure_of_flow(self.record)

    def to_html(self, path: Path | str, title: str = "Gradient flow") -> Path:
        """Write the report of this diagnosis: a self-contained page.

        The numbers are written beside the page as .json.

        Raises:
            ArgumentError: `path` is a folder, a device or a .json file, or its folder is missing.
            RunFolderError: the page cannot be written.
            UnsupportedError: matplotlib or jinja2 is not installed (`throughtime[report]`).
        """
        from throughtime.report import page_of_flow

        return page_of_flow(self.record, path, title).page

    def __str__(self) -> str:
        record = self.record
        lines = [f"loss {record.loss:.4g} over {record.steps} steps of {record.rows} rows"]
        lines.append(self.finding.sentence)
        heads = ("‖∂L/∂s‖ first", "last", "horizon 1/e", "horizon 1 %", "λ1")
        rows = {layer.name: _summary_row(layer) for layer in record.layers}
        name = max(map(len, rows), default=0)
        widths = [max(len(head), *(len(row[i]) for row in rows.values())) for i, head in enumerate(heads)]
        for label, row in {"": heads, **rows}.items():
            lines.append("  ".join([f"{label:{name}}", *map(str.rjust, row, widths)]))
        lines += [f"try: {suggestion}" for suggestion in self.finding.suggestions]
        return "\n".join(lines)

    __repr__ = __str__  # what a notebook shows of a bare name: a summary, not the record's thousands of numbers


def _summary_row(layer: LayerFlow) -> tuple[str, ...]:
    """Return a layer's line in the printed summary, a text for each of its five heads."""
    horizons = [
        f"> {horizon.observed}"
        if horizon.lag == math.inf
        else f"{horizon.lag:.3g} ({horizon.low:.3g} … {horizon.high:.3g})"
        for horizon in layer.horizons
    ] or ["-", "-"]
    largest = f"{layer.lyapunov.exponents[0]:.3g}" if layer.lyapunov is not None else "-"
    return f"{layer.by_step[0]:.3g}", f"{layer.by_step[-1]:.3g}", *horizons, largest


@records_graphs
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
    """Measure how the gradient of loss(model(x), y) flows through time.

    Every recurrent layer of throughtime is measured.

    s_t is a recurrence's state, all members side by side, and L_t the part of the loss that enters its layer at step
    t. The gradient is exact, whatever method and clipping the layers train with, in the mode the model is in, with a
    single draw of dropout's masks.

    Args:
        model: model(x) returns the output, or a tuple whose first element is the output. Each layer is called once.
        loss: loss(output, y), a scalar.
        wanted_lag: the number of steps over which the gradient should last, by which vanishing is judged; None: half
            the steps.
        samples: the number of (t, row), about, over which the gradient by lag is taken; at most 16 of each row.
        parts: the parts to measure beside ‖∂L/∂s_t‖ by step: "lags" (the gradient by lag, and its horizons), "shares"
            (the share of each lag in the weights' gradient), "gains" (the map of ‖∂s_t/∂s_r‖), "spectrum" (of the
            weights and of J_t), "lyapunov" (the 32 leading exponents, along 1 to 4 rows), "activations" (saturation,
            time constants of gates, dead units). The verdict rests on the parts that were measured.
        exact_gains: form the products of Jacobians instead of estimating their norms, and give their spectral norms
            too; for small states.
        seed: the seed of samples, intervals and probes. torch's generators are not used.
        say: called with each layer and part before it is measured, such as "rnn.l0: lyapunov", to show progress.

    Returns:
        The flow by layer, with the names that a tap gives ("rnn.l0", "rnn.l0_reverse"). Numbers that are not finite
        raise no error: the record says where they arose, and has the rest as far as it can be computed. The model is
        not changed: its methods, gradients, buffers, mode and hooks are as before.

    Raises:
        ArgumentError: the model has no recurrent layer of throughtime, holds one of torch.nn's, calls a layer twice or
            calls none; x has no steps or no rows; the loss is not a scalar; an option is out of its range.

    Cost: 2 + samples / B backward passes, O(T·B·S²) each; the shares T²·S² for as many rows as a fixed budget allows
    (`diagnosis.shares`); the gain map T·200·S². With T = 1000, H = 256, B = 16 and all parts 1 to 5 s on one core.
    Memory as for training with BPTT(save="states"), and three more tensors of the size of the states. Too slow for
    every step of training; a tap costs next to nothing.

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
    captured = capture(model, loss, x, y)
    clipped = clipped_steps(model, loss, x, y)
    options = Options(samples, exact_gains, torch.Generator().manual_seed(int(seed)), say or (lambda _: None))
    layout, device = captured.layers[0].call.layout, captured.layers[0].call.outputs.device
    with without_autocast(device):
        nonfinite = first_nonfinite(model, captured)
        layers = [flow for layer in captured.layers for flow in layer_flows(layer, parts, options, clipped)]
    wanted = max(1, layout.steps // 2) if wanted_lag is None else wanted_lag
    flow = Flow(None, layout.steps, layout.rows, captured.loss, wanted, layers, nonfinite, None, 0.0)
    return GradientFlow(replace(flow, finding=judge(flow), seconds=time.perf_counter() - began))


def _check(wanted_lag: object, samples: object, parts: object, seed: object) -> None:
    if wanted_lag is not None:
        check_size("wanted_lag", wanted_lag, least=1)
    check_size("samples", samples, least=1)
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise ArgumentError("seed", f"is {seed!r}", "it must be a whole number")
    if isinstance(parts, str) or not isinstance(parts, Collection) or not set(parts) <= set(PARTS):
        names = ", ".join(map(repr, PARTS))
        raise ArgumentError("parts", f"is {parts!r}", f"it must be some of {names}", "give a list, such as ['lags']")
