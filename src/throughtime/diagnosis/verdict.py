"""The verdict on a flow of gradients: which of a few things it is like, by which numbers, in one sentence."""

import math

from throughtime.diagnosis.evidence import ERRORS, GONE, Evidence
from throughtime.diagnosis.sentences import Sentence, notes, place, sentence
from throughtime.diagnosis.suggestions import after, after_nonfinite, after_too_short
from throughtime.errors import ArgumentError
from throughtime.records import Finding, Flow, LayerFlow, NonFinite, Source, Verdict

GROWTH = 10.0
"""A gradient that grows less than this over all steps is left alone: an update of usual size survives it."""
PEAK = 3.0
"""A median that peaks lower than this is not called growth: gates and readouts change a norm by as much."""
BOUNDED = 1.5
"""In its second half a state that has settled is as large as in its first, one that adds up noise 1.8 times."""
FULL = 0.5
"""From this share of full values on, most factors of the gradient are those of a full activation."""

SEVERITY = (
    Verdict.NON_FINITE,
    Verdict.NO_GRADIENT,
    Verdict.EXPLODING,
    Verdict.CHAOTIC,
    Verdict.TRANSIENT,
    Verdict.SATURATED,
    Verdict.VANISHING,
    Verdict.HEALTHY,
    Verdict.TOO_SHORT,
)
"""The worst first: what stops training, what makes it diverge, what makes it slow, what says nothing."""


def judge(flow: Flow) -> Finding:
    """Decide what the gradient's flow is like, from its record alone, whose `finding` is not read.

    In this order, for each layer; the worst layer decides (`SEVERITY`; among equals the one with the greatest or
    least gradient at the wanted lag, and without a gradient the one nearest to the loss; one that is too short only
    where all are, else the sentence names it):

    1. Something is NaN or infinite: NON_FINITE, where it was met first, for the whole model. No row has a step:
       TOO_SHORT.
    2. ‖∂L/∂s_t‖ is 0 at all steps, or the weights' gradient is by way of every lag: NO_GRADIENT.
    3. T is 1, or no loss has a step before it: TOO_SHORT.
    4. The gradient grows. λ1 > 0 by more than twice its error, by so much that e^(λ1 (T - 1)) ≥ 10, and the lag curve
       does not end below 1 after a fall; or the curve ends at 10 or more, and λ1 is not certainly below 0. CHAOTIC if
       λ1 is certainly above 0, the layer is not linear, and its state stays bounded: by what it is made of, or because
       in the second half of the steps it is at most 1.5 times as large as in the first. Else EXPLODING.
    5. The curve's median peaks at a lag above 0 with at least 3, and it has fallen to 1/e of its peak at the end, or
       the peak is 10 or more, or λ1 is certainly below 0: TRANSIENT.
    6. Less than 1 % is left at the wanted lag (or at the last lag seen before it; without a curve, by λ1 for certain):
       SATURATED where half of the values of a content activation lie within a twentieth of the ends of its range, else
       VANISHING.
    7. HEALTHY. Gates that stay open, or a growth below 3, are no illness.

    In a layer below others of its module the curve may rise because these hand down in time what they keep; there the
    layer's own gains ‖∂s_t/∂s_{t-k}‖ stand for the curve in 4 and 5.
    λ1 of a linear Elman layer is ln|λ| of its weights; of others it is as measured, and without an error it
    decides nothing; -inf, in place of a curve, is vanishing. A median of fewer than five samples is called uncertain
    in the sentence.

    Raises:
        ArgumentError: the flow has no layer and nothing in it is NaN or infinite.
    """
    if flow.nonfinite is not None:
        return _nonfinite(flow, flow.nonfinite)
    if not flow.layers:
        raise ArgumentError("flow has no layers; a verdict needs the record of at least one recurrent layer")
    for layer in flow.layers:
        step = next((t for t in reversed(range(len(layer.by_step))) if not math.isfinite(layer.by_step[t])), None)
        if step is not None:
            return _nonfinite(flow, NonFinite(Source.GRADIENT, layer.name, step, -1))
    judged = [(_verdict(one), one) for one in (Evidence.of(flow, layer) for layer in flow.layers)]
    verdict, evidence = min(judged[::-1], key=_badness)
    too_short = [one.layer.name for here, one in judged if here is Verdict.TOO_SHORT]
    short = too_short if len(too_short) < len(judged) else []
    said = [*notes(verdict, evidence), *(f"no loss of {name} has a step before it" for name in short)]
    return Finding(
        verdict=verdict,
        layer="" if verdict is Verdict.TOO_SHORT else evidence.layer.name,
        numbers=evidence.numbers(),
        sentence=sentence(verdict, evidence) + "".join(f" ({note})" for note in said),
        suggestions=after(verdict, evidence) + [one for name in short for one in after_too_short(name)],
    )


def _badness(judged: tuple[Verdict, Evidence]) -> tuple[int, float]:
    """Less is worse."""
    verdict, evidence = judged
    if verdict is Verdict.NO_GRADIENT:
        return SEVERITY.index(verdict), 0.0
    growing = verdict in (Verdict.EXPLODING, Verdict.CHAOTIC, Verdict.TRANSIENT)
    left = math.inf if evidence.left is None else evidence.left
    return SEVERITY.index(verdict), -(evidence.peak or 0.0) if growing else left


def _verdict(evidence: Evidence) -> Verdict:
    if evidence.has_no_step:
        return Verdict.TOO_SHORT
    if _silent(evidence.layer):
        return Verdict.NO_GRADIENT
    if evidence.has_no_lag:
        return Verdict.TOO_SHORT
    if _grows(evidence):
        return Verdict.CHAOTIC if _is_chaotic(evidence) else Verdict.EXPLODING
    peak = evidence.peak or 0.0 if evidence.has_growth and evidence.peak_lag > 0 else 0.0
    if peak >= PEAK and (evidence.fell or peak >= GROWTH or evidence.sign < 0):
        return Verdict.TRANSIENT
    if _vanishes(evidence):
        full = evidence.saturated is not None and evidence.saturated >= FULL
        return Verdict.SATURATED if full else Verdict.VANISHING
    return Verdict.HEALTHY


def _silent(layer: LayerFlow) -> bool:
    return not any(layer.by_step) or (bool(layer.shares) and not any(share.norm for share in layer.shares))


def _grows(evidence: Evidence) -> bool:
    above, end = evidence.sign, evidence.end or 0.0
    by_exponent = above > 0 and (evidence.exponent or 0.0) * (evidence.steps - 1) >= math.log(GROWTH)
    if by_exponent and not (evidence.fell and end < 1):
        return True
    return evidence.has_growth and end >= GROWTH and above >= 0


def _is_chaotic(evidence: Evidence) -> bool:
    still = evidence.state_growth is not None and evidence.state_growth <= BOUNDED
    return evidence.sign > 0 and not evidence.layer.linear and (still or evidence.saturated is not None)


def _vanishes(evidence: Evidence) -> bool:
    if evidence.has_curve and evidence.left is not None:
        return evidence.left < GONE
    if evidence.exponent is None or evidence.exponent == -math.inf:
        return evidence.exponent is not None
    return evidence.sign < 0 and (evidence.exponent + ERRORS * evidence.error) * evidence.wanted < math.log(GONE)


def _nonfinite(flow: Flow, found: NonFinite) -> Finding:
    handed_in = found.source is Source.INPUT and found.step < 0 <= found.row
    kind = Sentence.INITIAL_STATE if handed_in else Sentence[found.source.name]
    said = kind.of(layer=found.layer or "the model", loss=flow.loss, place=place(found), row=found.row)
    layer = next((one for one in flow.layers if one.name == found.layer), None)
    numbers = {"step": float(found.step), "row": float(found.row)} if found.step >= 0 else {}
    return Finding(
        Verdict.NON_FINITE, found.layer, numbers | {"loss": flow.loss}, said, after_nonfinite(found, flow.loss, layer)
    )
