"""Choose suggestions after a verdict, from the evidence and the cell's traits."""

import math
from collections.abc import Iterator

from throughtime.diagnosis.evidence import LayerEvidence
from throughtime.diagnosis.sentences import place_in_words
from throughtime.diagnosis.suggestions import Suggestion
from throughtime.records import LayerFlow, MatrixSpectrum, NonFinite, Source, Verdict
from throughtime.wording import percent, plural

GROWN = 1e3
"""Least growth of a gradient, in any precision, before it overflows."""
ORDINALS = ("first", "second", "third", "fourth")
FRACTIONS = {2: "half", 3: "third", 4: "quarter"}


def after_too_short(layer: LayerFlow) -> list[str]:
    """Return suggestions for a layer without lags, beside layers with lags.

    All losses of such a layer lie at its first step.
    """
    return [Suggestion.READ_FINAL_STATE.of(layer=layer.name)] if layer.reverse else []


def after_nonfinite(nonfinite: NonFinite, loss: float, layer: LayerFlow | None = None) -> list[str]:
    """Return suggestions for a value that is not finite, in that layer."""
    where = place_in_words(nonfinite)
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
                Suggestion.LEARNING_RATE.of(what=f"the state stopped being finite at {where}"),
            ]
        case Source.LOSS:
            return [Suggestion.CHECK_LOSS.of(loss=loss)]
        case Source.GRADIENT:
            if layer is None or not _had_grown(layer, nonfinite.step):
                return [Suggestion.CHECK_DERIVATIVE.of(layer=nonfinite.layer, place=where)]
            return [
                Suggestion.CLIP_NON_FINITE.of(place=where, threshold=_clip_threshold(layer)),
                Suggestion.LEARNING_RATE.of(what=f"the gradient stopped being finite at {where}"),
            ]


def after_verdict(verdict: Verdict, evidence: LayerEvidence) -> list[str]:
    """Return suggestions after this verdict on a layer, the most promising first.

    NON_FINITE is about the whole model, see `after_nonfinite`.
    """
    match verdict:
        case Verdict.VANISHING:
            makers = (_dead, _keeping, _start, _gates, _flossing)
        case Verdict.SATURATED:
            makers = (_smaller_inputs, _keeping, _gates)
        case Verdict.EXPLODING | Verdict.CHAOTIC:
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
    """Return whether the gradient had grown before it stopped being finite at `step`.

    It runs from the last step to the first.
    """
    later = [norm for norm in layer.by_step[step + 1 :] if 0 < norm < math.inf]
    return bool(later) and max(later) >= GROWN * min(later)


def _clip_threshold(layer: LayerFlow) -> float:
    """Return ten times the median gradient of a single loss.

    Without the curve by lag the smallest norm stands for the median.
    """
    if layer.by_lag is not None:
        return 10 * layer.by_lag.norm
    return 10 * min(norm for norm in layer.by_step if 0 < norm < math.inf)


def _module_code(layer: LayerFlow) -> str:
    """Return the layer's module as Python code: model.layers[0] for "layers.0.l1"."""
    parts = layer.name.split(".")[:-1]
    return "model" + "".join(f"[{part}]" if part.isdecimal() else f".{part}" for part in parts)


def _parameter_code(layer: LayerFlow, name: str) -> str:
    """Return a parameter of an affine cell as Python code: model.recurrent.weight_hh_l0 for layer "recurrent.l0"."""
    return f"{_module_code(layer)}.{name}_{layer.name.rpartition('.')[2]}"


def _recurrent_weights_phrase(layer: LayerFlow) -> str:
    """Return W_hh as Python code, or in words where its name is not known."""
    return _parameter_code(layer, "weight_hh") if layer.traits.affine else "the recurrent weights"


def _biased(layer: LayerFlow, verb: str) -> str:
    """Return the beginning of a suggestion about biases, which a layer without biases gets first."""
    return verb.capitalize() if layer.traits.bias else f"Build the layer with bias=True and {verb}"


def _is_relu(layer: LayerFlow) -> bool:
    return any(activation.low == 0 and activation.high == math.inf for activation in layer.activations)


def _start(evidence: LayerEvidence) -> Iterator[str]:
    """Suggest weights that keep the gradient's norm.

    This needs a cell in which a step of the gradient is W_hhᵀ but for slopes.
    """
    layer = evidence.layer
    if layer.traits.slope_bound is None or evidence.gain is None:
        return
    weight = _recurrent_weights_phrase(layer)
    if _is_relu(layer):
        identity = "the identity and biases of 0" if layer.traits.bias else "the identity"
        yield Suggestion.IDENTITY_START.of(identity=identity, weight=weight, gain=evidence.gain)
    else:
        yield Suggestion.ORTHOGONAL_START.of(weight=weight, gain=evidence.gain)


def _keeping(evidence: LayerEvidence) -> Iterator[str]:
    """Suggest the bias that gives the keeping gate the wanted time constant. For K steps: σ(ln(K - 1)) = 1 - 1/K."""
    layer, keep = evidence.layer, evidence.layer.traits.keep
    if keep is None or not layer.traits.affine or evidence.kept is None:
        return
    if not (evidence.kept < evidence.wanted and evidence.wanted > 2):  # ln(K - 1) > 0 for K > 2
        return
    numbers = {
        "gate": keep.gate,
        "wanted": evidence.wanted,
        "kept": evidence.kept,
        "set": _biased(layer, "set"),
        "part": _part(keep.block, keep.blocks),
        "bias": _parameter_code(layer, "bias_ih"),
        "formula": f"{'-' if keep.sign < 0 else ''}ln({evidence.wanted} - 1)",
        "start": keep.sign * math.log(evidence.wanted - 1),
    }
    if keep.writes is None:
        yield Suggestion.UPDATE_BIAS.of(**numbers)
    else:
        yield Suggestion.FORGET_BIAS.of(**numbers, other=_part(keep.writes, keep.blocks))


def _part(block: int, blocks: int) -> str:
    """Return a block of a bias in words, such as "the second quarter"."""
    if blocks in FRACTIONS:
        return f"the {ORDINALS[block]} {FRACTIONS[blocks]}"
    return "all" if blocks == 1 else f"block {block + 1} of the {blocks} blocks"


def _gates(evidence: LayerEvidence) -> Iterator[str]:
    """Suggest a gated cell in place of an Elman cell."""
    if evidence.layer.traits.slope_bound is not None and evidence.left is not None:
        yield Suggestion.GATES.of(
            wanted=evidence.wanted, left=percent(evidence.left), left_lag=plural(evidence.left_lag, "step")
        )


def _clip_growth(evidence: LayerEvidence) -> Iterator[str]:
    """Suggest a threshold above the losses' own gradients. No quantile of grown norms tells where growth began."""
    by_lag, largest = evidence.layer.by_lag, max(evidence.layer.by_step, default=0.0)
    if by_lag is not None and 0 < 10 * by_lag.norm < largest:
        yield Suggestion.CLIP_GROWTH.of(threshold=10 * by_lag.norm, largest=largest)


def _clip_peaks(evidence: LayerEvidence) -> Iterator[str]:
    """Suggest a threshold that only the highest norms by step pass."""
    norms = sorted(norm for norm in evidence.layer.by_step if norm > 0)
    if norms:
        yield Suggestion.CLIP_PEAKS.of(threshold=norms[int(0.9 * (len(norms) - 1))], largest=norms[-1])


def _lower_gain(evidence: LayerEvidence) -> Iterator[str]:
    """Suggest smaller recurrent weights: by the radius where the state is bounded, else by λ1."""
    weight, matrix = _recurrent_weights_phrase(evidence.layer), _recurrent_spectrum(evidence.layer)
    if matrix is not None and evidence.saturated is not None and matrix.radius > 1:
        yield Suggestion.LOWER_RADIUS.of(weight=weight, factor=1 / matrix.radius, radius=matrix.radius)
    elif evidence.exponent is not None and evidence.exponent > 0:
        yield Suggestion.LOWER_GAIN.of(weight=weight, factor=math.exp(-evidence.exponent), exponent=evidence.exponent)


def _recurrent_spectrum(layer: LayerFlow) -> MatrixSpectrum | None:
    """Return the spectrum of W_hh for a cell with bounded slopes.

    There a step of the gradient is W_hhᵀ but for the slopes.
    """
    bounded = layer.traits.slope_bound is not None
    return layer.spectrum.weights.get("weight_hh") if bounded and layer.spectrum is not None else None


def _smaller_inputs(evidence: LayerEvidence) -> Iterator[str]:
    """Suggest smaller recurrent weights where W_hh h is most of the argument, else smaller inputs.

    W_hh h has the size ‖W_hh‖_F rms(h) / √H.
    """
    layer, units, matrix = evidence.layer, evidence.layer.units, _recurrent_spectrum(evidence.layer)
    if units is None or not units.preactivation > 1:
        return
    sizes = [size for size in units.state_norms if not math.isnan(size)]
    if matrix is not None and matrix.radius > 1 and sizes:
        fed_back = math.hypot(*matrix.singular_values) * max(sizes) / math.sqrt(units.units)
        if 2 * fed_back >= units.preactivation:  # at least half of the argument is fed back
            weight = _recurrent_weights_phrase(layer)
            yield Suggestion.LOWER_RADIUS.of(weight=weight, factor=1 / matrix.radius, radius=matrix.radius)
            return
    weights = _parameter_code(layer, "weight_ih") if layer.traits.affine else "the weights of the inputs"
    weights += " and the biases" if layer.traits.bias else ""
    yield Suggestion.SMALLER_INPUTS.of(preactivation=units.preactivation, weights=weights)


def _flossing(evidence: LayerEvidence) -> Iterator[str]:
    """Suggest flossing of a forward direction with a large enough λ1.

    It must be large enough to explain the measured growth or decay.
    """
    layer, exponent = evidence.layer, evidence.exponent
    if exponent is None or not math.isfinite(exponent) or layer.reverse:
        return
    if abs(exponent) * max(1, evidence.wanted) >= 1:  # a factor of e over the wanted lag
        depth = f", depth={layer.depth}" if layer.depth else ""
        yield Suggestion.FLOSSING.of(exponent=exponent, arguments=f"{_module_code(layer)}, x, count=1{depth}")


def _dead(evidence: LayerEvidence) -> Iterator[str]:
    """Suggest larger biases where at least half of the units of a ReLU layer are dead."""
    layer, units = evidence.layer, evidence.layer.units
    if units is not None and 2 * units.dead >= units.units and _is_relu(layer) and layer.traits.affine:
        start, bias = _biased(layer, "start with"), _parameter_code(layer, "bias_ih")
        yield Suggestion.DEAD_UNITS.of(dead=units.dead, units=units.units, start=start, bias=bias)


def _connect(evidence: LayerEvidence) -> Iterator[str]:
    if not any(evidence.layer.by_step):
        yield Suggestion.CONNECT_LOSS.of(steps=len(evidence.layer.by_step), layer=evidence.layer.name)


def _longer_sequences(evidence: LayerEvidence) -> Iterator[str]:
    yield Suggestion.LONGER_SEQUENCES.of(steps=plural(evidence.steps, "step"), lags=evidence.steps - 1)


def _longer_horizon(evidence: LayerEvidence) -> Iterator[str]:
    """Suggest longer chunks where at least 1/e of the gradient is left at the last measured lag.

    Where the use of the past was measured, it tells more.
    """
    if evidence.memory is None and evidence.has_growth and evidence.end is not None and evidence.end >= 1 / math.e:
        yield Suggestion.LONGER_HORIZON.of(end_lag=plural(evidence.end_lag, "step"), end=percent(evidence.end))
