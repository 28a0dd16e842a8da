"""Bias of a gradient method, in total, by parameter and by lag."""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as Ordered
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from throughtime.checks import is_whole
from throughtime.errors import ArgumentError
from throughtime.gradients.base import GradientMethod, check_method
from throughtime.inference_mode import records_graphs
from throughtime.layers.base import RecurrentLayer
from throughtime.models.contexts import differentiated_by, side_effects_undone
from throughtime.models.lags import bands_of, doubling_ends, estimate_by_lag, exact_by_lag
from throughtime.models.recording import RecordedRun, Recording
from throughtime.models.recurrent_layers import recurrent_layers
from throughtime.models.scalar_loss import scalar_loss
from throughtime.sequences.row_norms import joint_norm


@dataclass(frozen=True)
class Agreement:
    """Comparison of an estimate ĝ of a gradient with the exact gradient g.

    Attributes:
        norm, estimated_norm: ‖g‖ and ‖ĝ‖.
        cosine: of the angle between g and ĝ; 1 where both are zero, 0 where only g or only ĝ is.
        error: ‖ĝ - g‖ / ‖g‖; infinite where only g is zero. Cosine and error are NaN where neither norm exceeds the
            rounding error.
    """

    norm: float
    estimated_norm: float
    cosine: float
    error: float

    @classmethod
    def of(cls, estimate: Iterable[Tensor], exact: Iterable[Tensor], rounding: float = 0.0) -> "Agreement":
        """Compare all tensors together; an estimate whose norm is not above `rounding` counts as zero."""
        estimated, g = (
            torch.cat([tensor.detach().double().flatten() for tensor in tensors]) for tensors in (estimate, exact)
        )
        estimated = estimated if joint_norm([estimated]) > rounding else torch.zeros_like(estimated)
        norm, estimated_norm, distance = (joint_norm([vector]) for vector in (g, estimated, estimated - g))
        if not estimated_norm and 0 < norm <= rounding:
            return cls(norm, estimated_norm, float("nan"), float("nan"))
        if not norm or not estimated_norm:
            error = 1.0 if norm else float("inf") if estimated_norm else 0.0
            return cls(norm, estimated_norm, float(norm == estimated_norm), error)
        cosine = torch.dot(g / norm, estimated / estimated_norm).item()
        return cls(norm, estimated_norm, cosine, distance / norm)


@dataclass(frozen=True)
class GradientBias:
    """Result of `gradient_bias`, which `print` shows as a table.

    Attributes:
        total: over all parameters of the model.
        by_parameter: by the name of the parameter.
        by_lag: by a band of lags, for the part of the gradient of the recurrences' parameters that reaches a loss by
            way of that many steps; range(0, 1) is the step of the loss itself, range(4, 8) lags 4 … 7.
    """

    total: Agreement
    by_parameter: Mapping[str, Agreement]
    by_lag: Mapping[range, Agreement]

    def __str__(self) -> str:
        rows = {"all parameters": self.total, **self.by_parameter}
        for band, agreement in self.by_lag.items():
            rows[f"lag {band.start}" if len(band) == 1 else f"lags {band.start} … {band.stop - 1}"] = agreement
        width = max(map(len, rows))
        lines = [f"{'':{width}}  {'‖g‖':>9}  {'‖ĝ‖':>9}  {'cosine':>7}  {'error':>9}"]
        for name, agreement in rows.items():
            norms = f"{agreement.norm:9.3g}  {agreement.estimated_norm:9.3g}"
            lines.append(f"{name:{width}}  {norms}  {agreement.cosine:7.4f}  {agreement.error:9.2g}")
        return "\n".join(lines)


@records_graphs
def gradient_bias(
    method: GradientMethod,
    model: nn.Module,
    loss: Callable[[Tensor, Any], Tensor],
    x: Any,
    y: Any,
    *,
    lags: Ordered[int] | None = None,
) -> GradientBias:
    """Compare the gradient of loss(model(x), y) that `method` gives with the exact gradient.

    Every recurrent layer of throughtime in the model runs with `method`, and then with BPTT; random numbers such as
    those of dropout are the same. The exact gradient is a sum over the lags, the steps between the use of a weight and
    the loss ([HSK] (10)). The estimate at a lag is what the method adds when it is given more steps of the past: it
    runs on windows that end at each loss and begin in the state that entered them in the whole sequence. Lags count
    the steps of each recurrence; the gradient that arrives from layers above counts as the loss of the layer below.

    Args:
        method: a gradient method, such as TruncatedBPTT(8).
        model: model(x) returns the output, or a tuple whose first element is the output.
        loss: loss(output, y), a scalar.
        lags: the lags at which a band ends and the next begins; [1, 4] gives the lags 0, and 1 … 3. None: 1, 2, 4, … T.

    Returns:
        Cosines, relative errors and norms. The model is left as it was: its methods, gradients and buffers, and torch's
        generators.

    Raises:
        ArgumentError: where the model has no recurrent layer of throughtime or no parameter to train, the loss is no
            scalar, or lags are not increasing.

    Cost: both gradients; for the lags O(T²·B·S²) for the exact parts, and the method on one window for each loss and
    band, in chunks: about 3T times the cost of its gradient for a loss at every step and the default bands. Use it for
    study, not in every step of training. The estimate at a lag is a difference of two sums, with the rounding error of
    both and the noise of a method that draws random numbers: use float64 for small parts.

    Examples:
        >>> rnn = tt.RNN(3, 5, dtype=torch.float64)
        >>> x, y = torch.randn(2, 20, 4, 5, dtype=torch.float64).unbind(0)
        >>> bias = gradient_bias(tt.TruncatedBPTT(4), rnn, torch.nn.functional.mse_loss, x[..., :3], y, lags=[4, 20])
        >>> bias.by_lag[range(0, 4)].error < 1e-12, bias.by_lag[range(4, 20)].estimated_norm < 1e-12
        (True, True)
    """
    check_method("method", method, "TruncatedBPTT(8)")
    layers = list(recurrent_layers(model).values())
    if lags is not None:
        _check_lags(lags)
    parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
    if not parameters:
        raise ArgumentError(
            "model", "has no parameter that requires a gradient", "at least 1 is needed to compare gradients of"
        )
    recording = Recording()
    estimate, exact = (
        _gradients(each, model, layers, loss, x, y, list(parameters.values())) for each in (method, recording)
    )
    by_parameter = {
        name: Agreement.of([estimated], [g]) for name, estimated, g in zip(parameters, estimate, exact, strict=True)
    }
    return GradientBias(Agreement.of(estimate, exact), by_parameter, _by_lag(method, recording.runs, lags))


def _check_lags(lags: Ordered[int]) -> None:
    if (
        not all(is_whole(lag, least=1) for lag in lags)
        or not lags
        or any(later <= earlier for earlier, later in zip(lags, lags[1:], strict=False))
    ):
        raise ArgumentError(
            "lags", f"is {lags!r}", "it must be increasing whole numbers from 1 on, such as [1, 2, 4, 8]"
        )


def _gradients(
    method: GradientMethod,
    model: nn.Module,
    layers: list[RecurrentLayer],
    loss: Callable[[Tensor, Any], Tensor],
    x: Any,
    y: Any,
    parameters: list[nn.Parameter],
) -> tuple[Tensor, ...]:
    with side_effects_undone(model), differentiated_by(layers, method), torch.enable_grad():
        value = scalar_loss(model, loss, x, y)
        return torch.autograd.grad(value, parameters, materialize_grads=True)


def _by_lag(method: GradientMethod, runs: list[RecordedRun], lags: Ordered[int] | None) -> dict[range, Agreement]:
    runs = [run for run in runs if any(value.requires_grad for value in run.parameters.values())]
    steps = max((len(run.sequence.x) for run in runs), default=0)
    if not steps:
        return {}
    bands = bands_of(doubling_ends(steps) if lags is None else list(lags))
    with torch.no_grad():
        exact = _summed([(run, exact_by_lag(run, bands)) for run in runs])
        estimated = _summed([(run, [estimate_by_lag(run, method, band) for band in bands]) for run in runs])
    # An estimate is a difference of sums as large as the largest part, and has their rounding errors: about √n ε for n
    # terms, so that a factor of 16 allows for some hundred terms.
    largest = max(Agreement.of(g, g).norm for g in exact)
    rounding = 16 * torch.finfo(exact[0][0].dtype).eps * largest
    return {band: Agreement.of(ours, g, rounding) for band, ours, g in zip(bands, estimated, exact, strict=True)}


def _summed(by_run: list[tuple[RecordedRun, list[dict[str, Tensor]]]]) -> list[list[Tensor]]:
    """Sum the gradients of each parameter over the runs in which it acts, by band."""
    bands: list[dict[int, Tensor]] = [{} for _ in by_run[0][1]]
    for run, gradients in by_run:
        for band, by_name in zip(bands, gradients, strict=True):
            trained = ((name, parameter) for name, parameter in run.parameters.items() if parameter.requires_grad)
            for name, parameter in trained:
                key = parameter.data_ptr()  # layers may share a parameter
                band[key] = by_name[name] + band[key] if key in band else by_name[name]
    return [list(band.values()) for band in bands]
