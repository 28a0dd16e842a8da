"""Verdicts in sentences, with the figures that decided them."""

import math
from enum import Enum

from throughtime.diagnosis.evidence import FEW, LayerEvidence, factor_of
from throughtime.records import NonFinite, Verdict
from throughtime.wording import percent, plural

GROWN = 3.0
"""Least growth of a gradient that is worth a word."""


class Sentence(Enum):
    """Every sentence of a finding, with placeholders for names and numbers."""

    WEIGHTS = "non-finite: the weights {layer} hold a NaN or an infinity"
    INITIAL_STATE = (
        "non-finite: the initial state of {layer}, passed in as hx, holds a NaN or an infinity in row {row} "
        "(counted from 0)"
    )
    INPUT = "non-finite: the input holds a NaN or an infinity at {place} (counted from 0), and nothing before it does"
    STATE = "non-finite: the state becomes NaN or infinite at {place} (counted from 0), from a finite input"
    LOSS = "non-finite: the loss is {loss}, though all states are finite"
    GRADIENT = "non-finite: the gradient becomes NaN or infinite at {place} (counted from 0), from a finite loss"
    NO_GRADIENT = "no gradient: ∂L/∂s is 0 at all steps of {layer}"
    NO_GRADIENT_OF_WEIGHTS = (
        "no gradient: the loss reaches the state of {layer}, but its weights get a gradient of 0 by way of every lag"
    )
    TOO_SHORT = "too short: no loss has a step before it, in {steps}, so no gradient passes through time"
    EXPLODING = "exploding: the gradient of {layer} grows {growth}"
    CHAOTIC = "chaotic: the gradient of {layer} grows {growth}, while its state stays bounded"
    TRANSIENT = (
        "transient growth, then decay: the median gradient of {layer} grows {peak}-fold by lag {peak_lag}, and at lag "
        "{end_lag} it is {end} of what it began with"
    )
    TRANSIENT_SO_FAR = (
        "transient growth, then decay: the median gradient of {layer} grows {peak}-fold by lag {peak_lag}; λ1 = "
        "{exponent} per step says that it will decay, beyond the {end_lag} steps measured"
    )
    VANISHING = "vanishing: the gradient of {layer} {fall}"
    SATURATED = (
        "saturated: the gradient of {layer} {fall}; {saturated} of the values that it writes lie within a twentieth of "
        "the ends of their range"
    )
    HEALTHY = "healthy: after the {wanted} wanted the gradient of {layer} has {left} of its norm"
    HEALTHY_AS_SEEN = (
        "healthy as far as was measured: after {left_lag} the gradient of {layer} has {left} of its norm; {wanted} are "
        "wanted"
    )
    HEALTHY_BY_EXPONENT = (
        "healthy as far as λ1 = {exponent} per step tells: the gradient of {layer} was not measured by lag"
    )
    HEALTHY_IN_USE = (
        "healthy: the predictions use the last {used}, and nothing further back was found to lower the loss; the "
        "gradient of {layer} {course}"
    )
    HEALTHY_SO_FAR = (
        "healthy so far: the model is no better yet than a naive prediction; the gradient of {layer} {course}, and "
        "nothing further back was found to lower the loss"
    )
    MISSED = (
        "{said}; inputs {low} to {high} steps back, which the model does not use, would lower the loss by {gain} ± "
        "{error} or more"
    )
    BETTER_WITHOUT = "{said}; with the last {steps} alone the loss is {less} lower"
    NOTHING_LEARNED = "{said}; the model is no better than a naive prediction"
    UNKNOWN = (
        "healthy as far as can be told: the gradient of {layer} is finite and not 0, but neither its lags nor its "
        "exponents were measured"
    )

    def of(self, **numbers: float | int | str) -> str:
        """Fill in names and numbers, with three digits."""
        return self.value.format(**{name: figure(number) for name, number in numbers.items()})


def sentence(verdict: Verdict, evidence: LayerEvidence) -> str:
    """Return the verdict on a layer in words, with its deciding figures.

    NON_FINITE is about the whole model, and gets its sentence in `judge`.
    """
    said, memory, missed = _of_gradient(verdict, evidence), evidence.memory, evidence.missed
    if verdict in (Verdict.VANISHING, Verdict.SATURATED) and missed is not None:
        return Sentence.MISSED.of(
            said=said, low=missed.low, high=missed.high, gain=missed.gain, error=f"{missed.error:.1g}"
        )
    if memory is None or verdict not in (Verdict.EXPLODING, Verdict.CHAOTIC, Verdict.TRANSIENT):
        return said
    lower = memory.better_without
    if lower is None:
        return Sentence.NOTHING_LEARNED.of(said=said)
    return Sentence.BETTER_WITHOUT.of(said=said, steps=plural(lower.steps, "step"), less=memory.whole - lower.loss)


def _of_gradient(verdict: Verdict, evidence: LayerEvidence) -> str:
    layer = evidence.layer.name
    match verdict:
        case Verdict.NO_GRADIENT:
            silent = not any(evidence.layer.by_step)
            return (Sentence.NO_GRADIENT if silent else Sentence.NO_GRADIENT_OF_WEIGHTS).of(layer=layer)
        case Verdict.TOO_SHORT:
            return Sentence.TOO_SHORT.of(steps=plural(evidence.steps, "step"))
        case Verdict.EXPLODING | Verdict.CHAOTIC:
            kind = Sentence.EXPLODING if verdict is Verdict.EXPLODING else Sentence.CHAOTIC
            return kind.of(layer=layer, growth=_growth(evidence))
        case Verdict.TRANSIENT:
            return _transient(evidence)
        case Verdict.VANISHING:
            return Sentence.VANISHING.of(layer=layer, fall=_fall(evidence))
        case Verdict.SATURATED:
            saturated = percent(evidence.saturated or 0.0)
            return Sentence.SATURATED.of(layer=layer, fall=_fall(evidence), saturated=saturated)
        case _:
            return _healthy(evidence)


def _growth(evidence: LayerEvidence) -> str:
    """Return the growth in words.

    For example "by a factor of 1.2 per step (λ1 = 0.182 ± 0.001), 95.4-fold by lag 25 in the median".
    """
    parts = []
    if evidence.exponent is not None and evidence.sign > 0:
        factor = factor_of(evidence.exponent)
        parts.append(f"by a factor of {factor:.3g} per step (λ1 = {_exponent(evidence)})")
    if evidence.has_growth:
        parts.append(f"{evidence.end:.3g}-fold by lag {evidence.end_lag} in the median")
    return ", ".join(parts)


def _exponent(evidence: LayerEvidence) -> str:
    """Return λ1 with its standard error, such as "0.182 ± 0.001"; an exact λ1 has no error."""
    return f"{evidence.exponent:.3g}" + (f" ± {evidence.error:.2g}" if evidence.error > 0 else "")


def _transient(evidence: LayerEvidence) -> str:
    so_far = not evidence.fell and evidence.sign < 0
    return (Sentence.TRANSIENT_SO_FAR if so_far else Sentence.TRANSIENT).of(
        layer=evidence.layer.name,
        peak=evidence.peak or 0.0,
        peak_lag=evidence.peak_lag,
        end=percent(evidence.end or 0.0),
        end_lag=evidence.end_lag,
        exponent=evidence.exponent if evidence.exponent is not None else math.nan,
    )


def _fall(evidence: LayerEvidence) -> str:
    """Return the fall in words: by the horizon, else by the curve, else by λ1.

    For example "falls to 1 % within 7.9 steps (90 %: 7.2 to 8.8), and 25 are wanted".
    """
    horizon = evidence.horizon
    if horizon is not None and horizon.lag <= evidence.wanted:
        bounds = f" (90 %: {horizon.low:.1f} to {horizon.high:.1f})" if horizon.low <= horizon.high else ""
        return f"falls to 1 % within {horizon.lag:.1f} steps{bounds}, and {evidence.wanted} are wanted"
    if evidence.has_curve and evidence.left is not None:
        after_lag = plural(evidence.left_lag, "step")
        return f"has {percent(evidence.left)} of its norm after {after_lag}, and {evidence.wanted} are wanted"
    exponent = evidence.exponent or 0.0
    return (
        f"shrinks by a factor of {factor_of(exponent):.3g} per step (λ1 = {_exponent(evidence)}), and "
        f"{plural(evidence.wanted, 'step')} are wanted"
    )


def _healthy(evidence: LayerEvidence) -> str:
    layer, used = evidence.layer.name, None if evidence.memory is None else evidence.memory.used
    if evidence.memory is not None and not evidence.memory.learned:
        return Sentence.HEALTHY_SO_FAR.of(layer=layer, course=_course(evidence))
    if used is not None:
        return Sentence.HEALTHY_IN_USE.of(layer=layer, used=plural(used, "step"), course=_course(evidence))
    if evidence.left is None or not evidence.has_curve:
        if evidence.exponent is None:
            return Sentence.UNKNOWN.of(layer=layer)
        return Sentence.HEALTHY_BY_EXPONENT.of(layer=layer, exponent=evidence.exponent)
    as_wanted = evidence.left_lag == evidence.wanted
    return (Sentence.HEALTHY if as_wanted else Sentence.HEALTHY_AS_SEEN).of(
        layer=layer,
        left=percent(evidence.left),
        left_lag=plural(evidence.left_lag, "step"),
        wanted=plural(evidence.wanted, "step") if as_wanted else evidence.wanted,
    )


def _course(evidence: LayerEvidence) -> str:
    """Return what becomes of the gradient by lag, in words that fear nothing."""
    horizon = evidence.horizon
    if evidence.end is not None and evidence.end >= GROWN and evidence.has_growth:
        return f"grows {evidence.end:.3g}-fold by lag {evidence.end_lag}"
    if horizon is not None and horizon.lag < math.inf:
        return f"falls to 1 % within {horizon.lag:.1f} steps"
    if evidence.left is not None and evidence.has_curve:
        return f"has {percent(evidence.left)} of its norm after {plural(evidence.left_lag, 'step')}"
    return "was not measured by lag"


def notes(verdict: Verdict, evidence: LayerEvidence) -> list[str]:
    """Return the reasons why the verdict is uncertain."""
    if verdict not in (Verdict.VANISHING, Verdict.SATURATED, Verdict.HEALTHY) or not evidence.has_curve:
        return []
    if evidence.memory is not None and verdict is Verdict.HEALTHY:  # no lag is wanted that could be close
        return []
    reasons, horizon = [], evidence.horizon
    if evidence.samples < FEW:
        reasons.append(f"uncertain: from {plural(evidence.samples, 'sample')} only")
    if horizon is not None and horizon.low < evidence.wanted < horizon.high:
        reach = f"{horizon.low:.1f} to {horizon.high:.1f}"
        reasons.append(f"close: the gradient falls to 1 % within {reach} steps, with 90 % confidence")
    return reasons


def figure(number: float | int | str) -> str:
    """Return a number for a sentence, with three digits."""
    return f"{number:.3g}" if isinstance(number, float) else str(number)


def place_in_words(nonfinite: NonFinite) -> str:
    """Return where a value is not finite, in words."""
    of_layer = f" of {nonfinite.layer}" if nonfinite.layer else ""
    return f"step {nonfinite.step}, row {nonfinite.row}{of_layer}" if nonfinite.step >= 0 else f"some step{of_layer}"
