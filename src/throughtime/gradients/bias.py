"""How far a gradient method is from the exact gradient: altogether, by parameter, and by lag."""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as Ordered
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from throughtime.errors import ArgumentError
from throughtime.gradients.base import GradientMethod
from throughtime.gradients.evaluated import recurrent_layers, scalar_loss
from throughtime.gradients.lags import RecordedRun, Recording
from throughtime.gradients.unchanged import differentiated_by, unchanged
from throughtime.layers.base import RecurrentLayer


@dataclass(frozen=True)
class Agreement:
    """An estimate ĝ of a gradient beside the exact one, g.

    Attributes:
        norm, estimated_norm: ‖g‖ and ‖ĝ‖.
        cosine: of the angle between them; 1 where both are zero, 0 where one is.
        error: ‖ĝ - g‖ / ‖g‖; infinite where only g is zero. Both are NaN where neither norm is above what rounding
            makes, so that nothing can be said.
    """

    norm: float
    estimated_norm: float
    cosine: float
    error: float

    @classmethod
    def of(cls, estimate: Iterable[Tensor], exact: Iterable[Tensor], rounding: float = 0.0) -> "Agreement":
        """Of all tensors together; an estimate whose norm is not above `rounding` counts as zero."""
        ours, g = (torch.cat([one.detach().double().flatten() for one in tensors]) for tensors in (estimate, exact))
        ours = ours if ours.norm() > rounding else torch.zeros_like(ours)
        norm, own, distance = (one.norm().item() for one in (g, ours, ours - g))
        if not own and 0 < norm <= rounding:
            return cls(norm, own, float("nan"), float("nan"))
        if not norm or not own:
            return cls(norm, own, float(norm == own), 1.0 if norm else float("inf") if own else 0.0)
        return cls(norm, own, torch.dot(g / norm, ours / own).item(), distance / norm)


@dataclass(frozen=True)
class GradientBias:
    """What `gradient_bias` found.

    Attributes:
        total: over all parameters of the model.
        by_parameter: name → the same for that parameter.
        by_lag: lags → the same for the part of the gradient of the recurrences' own parameters that reaches a loss by
            way of that many steps; range(0, 1) is the loss's own step, range(4, 8) lags 4 … 7.
    """

    total: Agreement
    by_parameter: Mapping[str, Agreement]
    by_lag: Mapping[range, Agreement]

    def __str__(self) -> str:
        rows = {"all parameters": self.total, **self.by_parameter}
        for lags, one in self.by_lag.items():
            rows[f"lag {lags.start}" if len(lags) == 1 else f"lags {lags.start} … {lags.stop - 1}"] = one
        width = max(map(len, rows))
        lines = [f"{'':{width}}  {'‖g‖':>9}  {'‖ĝ‖':>9}  {'cosine':>7}  {'error':>9}"]
        for name, one in rows.items():
            numbers = f"{one.norm:9.3g}  {one.estimated_norm:9.3g}  {one.cosine:7.4f}  {one.error:9.2g}"
            lines.append(f"{name:{width}}  {numbers}")
        return "\n".join(lines)


def gradient_bias(
    method: GradientMethod,
    model: nn.Module,
    loss: Callable[[Tensor, Any], Tensor],
    x: Any,
    y: Any,
    *,
    lags: Ordered[int] | None = None,
) -> GradientBias:
    """Compare what `method` gives for the gradient of loss(model(x), y) with the exact gradient.

    Every recurrence of ours in the model runs with `method`, and then with BPTT; random numbers such as dropout's are
    the same. By lag, the exact gradient is a sum over how many steps lie between a weight's use and the loss
    ([HSK] (10)); the method's part is what it adds when it is shown more of the past: it is run on windows that end at
    each loss and begin in the state that really entered them. A lag counts the steps of the recurrence at hand; what
    arrives from layers above counts as its loss.

    Args:
        method: a gradient method, such as TruncatedBPTT(8).
        model: model(x) returns the output, or a tuple whose first element is the output.
        loss: loss(output, y), a scalar.
        lags: where one band of lags ends and the next begins; [1, 4] gives the lags 0, and 1 … 3. None: 1, 2, 4, … T.

    Returns:
        Cosine, relative error and norms. `print` shows them as a table. Nothing about the model is changed: its
        methods, gradients, buffers and torch's generators are as before.

    Raises:
        ArgumentError: where the model has no recurrence of ours, the loss is no scalar, or lags are not increasing.

    Cost: both gradients; for the lags O(T²·B·S²) for the exact parts, and the method on one window for each loss and
    band, about 3T times its own gradient for a loss at every step and the default bands, in chunks: for study, not for
    every step of training. A method's part is a difference of two sums and carries their rounding, and the noise of a
    method that draws random numbers: use float64 for small parts.

    Examples:
        >>> rnn = tt.RNN(3, 5, dtype=torch.float64)
        >>> x, y = torch.randn(2, 20, 4, 5, dtype=torch.float64).unbind(0)
        >>> bias = gradient_bias(tt.TruncatedBPTT(4), rnn, torch.nn.functional.mse_loss, x[..., :3], y, lags=[4, 20])
        >>> bias.by_lag[range(0, 4)].error < 1e-12, bias.by_lag[range(4, 20)].estimated_norm < 1e-12
        (True, True)
    """
    layers = _checked_layers(method, model)
    if lags is not None:
        _check_lags(lags)
    parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
    if not parameters:
        raise ArgumentError("model has no parameter that requires a gradient; there is nothing to compare")
    recording = Recording()
    estimate, exact = (
        _gradients(one, model, layers, loss, x, y, list(parameters.values())) for one in (method, recording)
    )
    by_parameter = {name: Agreement.of([ours], [g]) for name, ours, g in zip(parameters, estimate, exact, strict=True)}
    return GradientBias(Agreement.of(estimate, exact), by_parameter, _by_lag(method, recording.runs, lags))


def _checked_layers(method: GradientMethod, model: nn.Module) -> list[RecurrentLayer]:
    if not isinstance(method, GradientMethod):
        raise ArgumentError(f"method is {method!r}; it must be a gradient method such as throughtime.TruncatedBPTT(8)")
    return list(recurrent_layers(model).values())


def _check_lags(lags: Ordered[int]) -> None:
    whole = all(isinstance(lag, int) and not isinstance(lag, bool) and lag > 0 for lag in lags)
    if not whole or not lags or any(later <= earlier for earlier, later in zip(lags, lags[1:], strict=False)):
        raise ArgumentError(f"lags is {lags!r}; it must be increasing whole numbers from 1 on, such as [1, 2, 4, 8]")


def _gradients(
    method: GradientMethod,
    model: nn.Module,
    layers: list[RecurrentLayer],
    loss: Callable[[Tensor, Any], Tensor],
    x: Any,
    y: Any,
    parameters: list[nn.Parameter],
) -> tuple[Tensor, ...]:
    with unchanged(model), differentiated_by(layers, method), torch.enable_grad():
        value = scalar_loss(model, loss, x, y)
        return torch.autograd.grad(value, parameters, materialize_grads=True)


def _by_lag(method: GradientMethod, runs: list[RecordedRun], lags: Ordered[int] | None) -> dict[range, Agreement]:
    runs = [run for run in runs if any(value.requires_grad for value in run.parameters.values())]
    steps = max((len(run.sequence.x) for run in runs), default=0)
    if not steps:
        return {}
    ends = [*(2**i for i in range((steps - 1).bit_length())), steps] if lags is None else list(lags)
    bands = [range(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    with torch.no_grad():
        exact = _summed([(run, run.exact(bands)) for run in runs])
        own = _summed([(run, [run.estimated(method, band) for band in bands]) for run in runs])
    largest = max(Agreement.of(g, g).norm for g in exact)
    rounding = 16 * torch.finfo(exact[0][0].dtype).eps * largest
    return {band: Agreement.of(ours, g, rounding) for band, ours, g in zip(bands, own, exact, strict=True)}


def _summed(by_run: list[tuple[RecordedRun, list[dict[str, Tensor]]]]) -> list[list[Tensor]]:
    """For each band the gradient of every parameter; one that acts in several runs has the sum of all."""
    bands: list[dict[int, Tensor]] = [{} for _ in by_run[0][1]]
    for run, gradients in by_run:
        for band, by_name in zip(bands, gradients, strict=True):
            trained = ((name, parameter) for name, parameter in run.parameters.items() if parameter.requires_grad)
            for name, parameter in trained:
                key = parameter.data_ptr()
                band[key] = by_name[name] + band[key] if key in band else by_name[name]
    return [list(band.values()) for band in bands]
