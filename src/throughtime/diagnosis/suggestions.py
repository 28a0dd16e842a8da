"""What to try after a verdict: sentences from an enumeration, each with the number that it follows from."""

import math
from collections.abc import Iterator
from enum import Enum

from throughtime.diagnosis.evidence import Evidence
from throughtime.diagnosis.sentences import figure, place
from throughtime.records import LayerFlow, MatrixSpectrum, NonFinite, Source, Verdict
from throughtime.wording import percent, plural

GROWN = 1e3
"""A gradient that overflows on its way back has grown by more than this before, in whatever precision."""
AFFINE = ("ElmanCell", "GRUCell", "LSTMCell")
"""The cells whose parameters have torch.nn's names."""


class Suggestion(Enum):
    """Everything that may be suggested; the numbers are filled in."""

    ORTHOGONAL_START = (
        "Start from an orthogonal matrix, with torch.nn.init.orthogonal_({weight}): it keeps the norm of a "
        "gradient, and this one changes by a factor of {gain} per step."
    )
    IDENTITY_START = (
        "Start from the identity and biases of 0, with torch.nn.init.eye_({weight}) (Le, Jaitly & Hinton 2015): "
        "it keeps the norm of a gradient, and this one changes by a factor of {gain} per step."
    )
    FORGET_BIAS = (
        "Start with forget gates that keep the state for the {wanted} steps wanted: half of them now have a time "
        "constant of at most {kept} steps. Set the second quarter of {bias} to ln({wanted} - 1) = {start} and the "
        "first to minus that (chrono initialisation, Tallec & Ollivier 2018); a layer with bias=False needs bias=True."
    )
    UPDATE_BIAS = (
        "Start with update gates that keep the state for the {wanted} steps wanted: half of them now have a time "
        "constant of at most {kept} steps. Set the second third of {bias} to ln({wanted} - 1) = {start} (after "
        "Tallec & Ollivier 2018); a layer with bias=False needs bias=True."
    )
    GATES = (
        "Use gates, with throughtime.GRU or throughtime.LSTM: they can keep a state for the {wanted} steps wanted, "
        "where this layer keeps {left} of a gradient over {left_lag}."
    )
    CLIP_GROWTH = (
        "Clip every step of the backward recursion, with gradient=throughtime.BPTT(clip_step={threshold}): that is ten "
        "times the median norm with which the loss of a step enters, and the largest ‖∂L/∂s_t‖ is {largest}."
    )
    CLIP_PEAKS = (
        "Clip every step of the backward recursion, with gradient=throughtime.BPTT(clip_step={threshold}): that is "
        "the 90 % quantile over the steps of ‖∂L/∂s_t‖, whose largest is {largest}."
    )
    LONGER_HORIZON = (
        "If the task reaches further back than {end_lag}, take longer chunks (a longer x, or a larger "
        "update_every or horizon): at that lag, the longest seen, the gradient still has {end} of its norm."
    )
    LOWER_GAIN = (
        "Lower the gain: multiply {weight} by {factor}, which is exp(-λ1) for the measured λ1 = {exponent} per step; "
        "where activations are full λ1 falls by less, so measure again."
    )
    LOWER_RADIUS = (
        "Lower the gain: multiply {weight} by {factor}, which brings its spectral radius from {radius} to 1: a large "
        "network of random weights is chaotic above that (Sompolinsky, Crisanti & Sommers 1988), less so the more its "
        "inputs drive it, so measure again."
    )
    SMALLER_INPUTS = (
        "Make what the activations are applied to smaller: its root mean square is {preactivation}, where tanh is "
        "full; divide the inputs, or {weight_ih}, and what biases there are by about {preactivation}."
    )
    FLOSSING = (
        "Floss before training, with throughtime.floss({arguments}) (Engelken 2023), x being what that "
        "module reads: it moves λ1 = {exponent} per step towards 0."
    )
    DEAD_UNITS = (
        "Revive the dead units: {dead} of {units} never change. Start with biases above 0, with "
        "torch.nn.init.constant_({bias}, 0.1), which takes bias=True, and lower the learning rate if they died in "
        "training."
    )
    CONNECT_LOSS = (
        "Connect the loss: ‖∂L/∂s_t‖ is 0 at every step of {steps}. Look for .detach(), torch.no_grad(), argmax, or a "
        "mask that is 0 throughout between the output of {layer} and the loss."
    )
    LONGER_SEQUENCES = (
        "Give longer sequences: of {steps}, with a loss at the last, a diagnosis shows the lags up to T - 1 = {lags}."
    )
    READ_FINAL_STATE = (
        "Read the final state of {layer}, which the module returns beside its outputs, or its output at the first step "
        "of a row: at the last it has seen that step alone."
    )
    CHECK_INITIAL_STATE = (
        "Look at the state that is handed in as hx: that of row {row} is not finite. If it is carried from one batch "
        "to the next, start it anew after a batch that went wrong."
    )
    CHECK_DATA = (
        "Look at the data: the input at {place} is not finite. Leave it out, fill it in with torch.nan_to_num(x), or "
        "end the row before it with lengths."
    )
    LEARNING_RATE = (
        "Go back to the last checkpoint whose weights are finite, take a smaller learning rate (a third of it, say), "
        "and pass over such updates with throughtime.clip_gradients(model, norm=…, nonfinite='skip'): {what}."
    )
    SMALLER_STATE = (
        "Keep the state small: it left the finite numbers at {place}. Lower the recurrent gain, scale the "
        "inputs, or use an activation with two ends (nonlinearity='tanh')."
    )
    CHECK_LOSS = (
        "Look at the loss, which is {loss}: a logarithm or a root of 0, a division by 0, or a target out of range; "
        "take log_softmax and cross entropy from logits."
    )
    CLIP_NON_FINITE = (
        "Clip every step of the backward recursion, with gradient=throughtime.BPTT(clip_step={threshold}): that is ten "
        "times the median norm with which the gradient enters, and it left the finite numbers at {place}."
    )
    CHECK_DERIVATIVE = (
        "Look at what lies between {layer} and the loss: the gradient is not finite at {place} though it had not grown "
        "until there. A root or a norm has an infinite derivative at 0, which a mask after it makes a NaN: add a small "
        "number under the root, or mask before it."
    )

    def of(self, **numbers: float | int | str) -> str:
        """The sentence with its numbers."""
        return self.value.format(**{name: figure(number) for name, number in numbers.items()})


def after_too_short(layer: str) -> list[str]:
    """What to try for a layer that only learns from losses without a step before them, beside others that do not."""
    return [Suggestion.READ_FINAL_STATE.of(layer=layer)] if layer.endswith("_reverse") else []


def after_nonfinite(nonfinite: NonFinite, loss: float, layer: LayerFlow | None = None) -> list[str]:
    """What to try where something is not finite, in that layer."""
    where = place(nonfinite)
    match nonfinite.source:
        case Source.WEIGHTS:
            return [Suggestion.LEARNING_RATE.of(what=f"the weights {nonfinite.layer} are not finite")]
        case Source.INPUT if nonfinite.step < 0:
            return [Suggestion.CHECK_INITIAL_STATE.of(row=nonfinite.row)]
        case Source.INPUT:
            return [Suggestion.CHECK_DATA.of(place=where)]
        case Source.STATE:
            return [
                Suggestion.SMALLER_STATE.of(place=where),
                Suggestion.LEARNING_RATE.of(what=f"the state left the finite numbers at {where}"),
            ]
        case Source.LOSS:
            return [Suggestion.CHECK_LOSS.of(loss=loss)]
        case Source.GRADIENT:
            if layer is None or not _had_grown(layer, nonfinite.step):
                return [Suggestion.CHECK_DERIVATIVE.of(layer=nonfinite.layer, place=where)]
            return [
                Suggestion.CLIP_NON_FINITE.of(place=where, threshold=_ten_times_entering(layer)),
                Suggestion.LEARNING_RATE.of(what=f"the gradient left the finite numbers at {where}"),
            ]


def after(verdict: Verdict, evidence: Evidence) -> list[str]:
    """What to try after this verdict on a layer, most promising first."""
    match verdict:
        case Verdict.VANISHING:
            makers = (_dead, _keeping, _start, _gates, _flossing)
        case Verdict.SATURATED:
            makers = (_smaller_inputs, _keeping, _gates)
        case Verdict.EXPLODING:
            makers = (_lower_gain, _clip_growth, _start, _flossing)
        case Verdict.CHAOTIC:
            makers = (_lower_gain, _clip_growth, _start, _flossing)
        case Verdict.TRANSIENT:
            makers = (_start, _clip_peaks)
        case Verdict.NO_GRADIENT:
            makers = (_connect, _dead)
        case Verdict.TOO_SHORT:
            makers = (_longer_sequences,)
        case _:
            makers = (_longer_horizon,)
    return [sentence for maker in makers for sentence in maker(evidence)]


def _had_grown(layer: LayerFlow, step: int) -> bool:
    """Whether the gradient grew before it, coming from the last step, left the finite numbers at this one."""
    later = [norm for norm in layer.by_step[step + 1 :] if 0 < norm < math.inf]
    return bool(later) and max(later) >= GROWN * min(later)


def _ten_times_entering(layer: LayerFlow) -> float:
    """Of the gradients of single losses, where they were taken one by one, else of the least that came."""
    if layer.by_lag is not None:
        return 10 * layer.by_lag.norm
    return 10 * min(norm for norm in layer.by_step if 0 < norm < math.inf)


def _module(evidence: Evidence) -> str:
    """Where to find a layer's module in the model, in Python: of "layers.0.l1" it is model.layers[0]."""
    parts = evidence.layer.name.split(".")[:-1]
    return "model" + "".join(f"[{part}]" if part.isdecimal() else f".{part}" for part in parts)


def _parameter(evidence: Evidence, name: str) -> str:
    """Where to find a parameter in the model: of layer "recurrent.l0" it is model.recurrent.weight_hh_l0."""
    if evidence.layer.cell not in AFFINE:
        return "the recurrent weights"
    return f"{_module(evidence)}.{name}_{evidence.layer.name.rpartition('.')[2]}"


def _is_relu(evidence: Evidence) -> bool:
    return any(one.low == 0 and one.high == math.inf for one in evidence.layer.activations)


def _start(evidence: Evidence) -> Iterator[str]:
    if evidence.layer.cell == "ElmanCell" and evidence.gain is not None:
        kind = Suggestion.IDENTITY_START if _is_relu(evidence) else Suggestion.ORTHOGONAL_START
        yield kind.of(weight=_parameter(evidence, "weight_hh"), gain=evidence.gain)


def _keeping(evidence: Evidence) -> Iterator[str]:
    """A bias for the gates that keep, by which they do so for the wanted lag: σ(ln(K - 1)) = 1 - 1/K."""
    kind = {"LSTMCell": Suggestion.FORGET_BIAS, "GRUCell": Suggestion.UPDATE_BIAS}.get(evidence.layer.cell)
    if kind and evidence.kept is not None and evidence.kept < evidence.wanted > 2:
        bias = _parameter(evidence, "bias_ih")
        start = math.log(evidence.wanted - 1)
        yield kind.of(wanted=evidence.wanted, kept=evidence.kept, start=start, bias=bias)


def _gates(evidence: Evidence) -> Iterator[str]:
    if evidence.layer.cell == "ElmanCell" and evidence.left is not None:
        yield Suggestion.GATES.of(
            wanted=evidence.wanted, left=percent(evidence.left), left_lag=plural(evidence.left_lag, "step")
        )


def _clip_growth(evidence: Evidence) -> Iterator[str]:
    """Every step is too large that has grown: no quantile of the norms tells where that began."""
    by_lag, largest = evidence.layer.by_lag, max(evidence.layer.by_step, default=0.0)
    if by_lag is not None and 0 < 10 * by_lag.norm < largest:
        yield Suggestion.CLIP_GROWTH.of(threshold=10 * by_lag.norm, largest=largest)


def _clip_peaks(evidence: Evidence) -> Iterator[str]:
    norms = sorted(norm for norm in evidence.layer.by_step if norm > 0)
    if norms:
        yield Suggestion.CLIP_PEAKS.of(threshold=norms[int(0.9 * (len(norms) - 1))], largest=norms[-1])


def _lower_gain(evidence: Evidence) -> Iterator[str]:
    weight, matrix = _parameter(evidence, "weight_hh"), _recurrent(evidence)
    if matrix is not None and evidence.saturated is not None and matrix.radius > 1:
        yield Suggestion.LOWER_RADIUS.of(weight=weight, factor=1 / matrix.radius, radius=matrix.radius)
    elif evidence.exponent is not None and evidence.exponent > 0:
        yield Suggestion.LOWER_GAIN.of(weight=weight, factor=math.exp(-evidence.exponent), exponent=evidence.exponent)


def _recurrent(evidence: Evidence) -> MatrixSpectrum | None:
    """Of the weights of an Elman layer."""
    spectrum = evidence.layer.spectrum
    return None if spectrum is None or evidence.layer.cell != "ElmanCell" else spectrum.weights.get("weight_hh")


def _smaller_inputs(evidence: Evidence) -> Iterator[str]:
    """Where W_hh h, of the size of ‖W_hh‖_F rms(h) / √H, is most of what is applied, it is that which is too large."""
    units, matrix = evidence.layer.units, _recurrent(evidence)
    if units is None or not units.preactivation > 1:
        return
    sizes = [size for size in units.state_norms if not math.isnan(size)]
    if matrix is not None and matrix.radius > 1 and sizes:
        fed_back = math.hypot(*matrix.singular_values) * max(sizes) / math.sqrt(units.units)
        if 2 * fed_back >= units.preactivation:
            weight = _parameter(evidence, "weight_hh")
            yield Suggestion.LOWER_RADIUS.of(weight=weight, factor=1 / matrix.radius, radius=matrix.radius)
            return
    weight_ih = _parameter(evidence, "weight_ih")
    yield Suggestion.SMALLER_INPUTS.of(preactivation=units.preactivation, weight_ih=weight_ih)


def _flossing(evidence: Evidence) -> Iterator[str]:
    """Only forward directions can be flossed, and only a λ1 that explains what was seen is worth moving."""
    suffix = evidence.layer.name.rpartition(".")[2]
    exponent = evidence.exponent
    if exponent is None or not math.isfinite(exponent) or suffix.endswith("_reverse"):
        return
    if abs(exponent) * max(1, evidence.wanted) >= 1:
        depth = "" if suffix == "l0" else f", depth={suffix.removeprefix('l')}"
        yield Suggestion.FLOSSING.of(exponent=exponent, arguments=f"{_module(evidence)}, x, count=1{depth}")


def _dead(evidence: Evidence) -> Iterator[str]:
    units = evidence.layer.units
    if units is not None and 2 * units.dead >= units.units and _is_relu(evidence):
        bias = _parameter(evidence, "bias_ih")
        yield Suggestion.DEAD_UNITS.of(dead=units.dead, units=units.units, bias=bias)


def _connect(evidence: Evidence) -> Iterator[str]:
    if not any(evidence.layer.by_step):
        yield Suggestion.CONNECT_LOSS.of(steps=len(evidence.layer.by_step), layer=evidence.layer.name)


def _longer_sequences(evidence: Evidence) -> Iterator[str]:
    yield Suggestion.LONGER_SEQUENCES.of(steps=plural(evidence.steps, "step"), lags=evidence.steps - 1)


def _longer_horizon(evidence: Evidence) -> Iterator[str]:
    if evidence.has_growth and evidence.end is not None and evidence.end >= 1 / math.e:
        yield Suggestion.LONGER_HORIZON.of(end_lag=plural(evidence.end_lag, "step"), end=percent(evidence.end))
