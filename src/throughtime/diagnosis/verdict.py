"""Judge a flow of gradients. The finding has a verdict, the numbers that decided it, a sentence, and suggestions."""

import math

from throughtime.diagnosis.advice import after_nonfinite, after_too_short, after_verdict
from throughtime.diagnosis.evidence import ERRORS, GONE, LayerEvidence
from throughtime.diagnosis.sentences import Sentence, notes, place_in_words, sentence
from throughtime.errors import ArgumentError
from throughtime.records import Finding, Flow, LayerFlow, NonFinite, Source, Verdict

GROWTH = 10.0
"""Largest accepted growth over all steps: updates of usual size survive it."""
PEAK = 3.0
"""Least peak of a median that counts as growth. Gates and readouts alone change a norm by nearly as much."""
BOUNDED = 1.5
"""Largest growth of a settled state from its first half to its second. A sum of noise grows 1.8-fold."""
FULL = 0.5
"""Least share of saturated values at which most factors of the gradient are small."""

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
"""Verdicts, the worst first: training stops, diverges, or is slow; last, nothing is wrong or nothing is known."""


def judge(flow: Flow) -> Finding:
    """Judge the flow of a gradient by its record; the record's `finding` is not read.

    Each layer is judged in the order below, and the worst layer decides (`SEVERITY`). Among equals it is the layer with
    the greatest or least gradient at the wanted lag; without a gradient, the layer nearest to the loss. A layer that is
    too short decides only where all are; otherwise the sentence names it.

    1. A value is NaN or infinite: NON_FINITE for the whole model, with the first such place. No row has a step:
       TOO_SHORT.
    2. ‖∂L/∂s_t‖ is 0 at all steps, or the weights' gradient is 0 by way of every lag: NO_GRADIENT.
    3. T is 1, or no loss has a step before it: TOO_SHORT.
    4. The gradient grows. λ1 > 0 by more than twice its error, by so much that e^(λ1 (T - 1)) ≥ 10, and the lag curve
       does not end below 1 after a fall; or the curve ends at 10 or more, and λ1 is not certainly below 0. CHAOTIC if
       λ1 is certainly above 0, the layer is not linear, and its state stays bounded: because its activations are, or
       because it is at most 1.5 times as large in the second half of the steps as in the first. Else EXPLODING.
    5. The curve's median peaks at a lag above 0 with at least 3, and it has fallen to 1/e of its peak at the end, or
       the peak is 10 or more, or λ1 is certainly below 0: TRANSIENT.
    6. Less than 1 % is left at the wanted lag (or at the last lag measured before it; without a curve, by λ1 for
       certain): SATURATED where half of the values of a content activation lie within a twentieth of the ends of its
       range, in a cell without a gate that keeps the state, else VANISHING. Gated cells that have learned are full
       too, and keep their gradient by their gates.
    7. HEALTHY. Gates that stay open, or a growth below 3, are no fault.

    Where the use of the past was measured (`Flow.memory`), 4 to 6 must show in the loss, or else the layer is HEALTHY.
    Growth: the model is no better than the best naive prediction, or better with a shorter past. A lost gradient:
    inputs from beyond its horizon at 1 % would lower the loss.

    Below other layers of its module, a layer's curve may rise because the layers above hand down what they keep; the
    layer's gains ‖∂s_t/∂s_{t-k}‖ stand for the curve in 4 and 5 then.
    λ1 of a linear Elman layer is ln|λ| of its weights. Any other λ1 is as measured, and decides nothing without an
    error; -inf, in place of a curve, is vanishing. The sentence calls a median of fewer than five samples uncertain.

    Raises:
        ArgumentError: the flow has no layer and nothing in it is NaN or infinite.
    """
    if flow.nonfinite is not None:
        return _nonfinite(flow, flow.nonfinite)
    if not flow.layers:
        raise ArgumentError("flow", "has no layers", "it must record at least one recurrent layer")
    for layer in flow.layers:
        step = next((t for t in reversed(range(len(layer.by_step))) if not math.isfinite(layer.by_step[t])), None)
        if step is not None:
            return _nonfinite(flow, NonFinite(Source.GRADIENT, layer.name, step, -1))
    judged = [(_verdict(each), each) for each in (LayerEvidence.of(flow, layer) for layer in flow.layers)]
    verdict, evidence = min(judged[::-1], key=_badness)  # reversed: of equals, the layer nearest to the loss
    too_short = [other.layer for kind, other in judged if kind is Verdict.TOO_SHORT]
    beside = too_short if len(too_short) < len(judged) else []  # those beside longer layers; they do not decide
    said = [*notes(verdict, evidence), *(f"no loss of {layer.name} has a step before it" for layer in beside)]
    return Finding(
        verdict=verdict,
        layer="" if verdict is Verdict.TOO_SHORT else evidence.layer.name,
        numbers=evidence.numbers(),
        sentence=sentence(verdict, evidence) + "".join(f" ({note})" for note in said),
        suggestions=after_verdict(verdict, evidence)
        + [suggestion for layer in beside for suggestion in after_too_short(layer)],
    )


def _badness(judged: tuple[Verdict, LayerEvidence]) -> tuple[int, float]:
    """Return a key for sorting; the smallest is the worst."""
    verdict, evidence = judged
    if verdict is Verdict.NO_GRADIENT:
        return SEVERITY.index(verdict), 0.0
    growing = verdict in (Verdict.EXPLODING, Verdict.CHAOTIC, Verdict.TRANSIENT)
    left = math.inf if evidence.left is None else evidence.left
    return SEVERITY.index(verdict), -(evidence.peak or 0.0) if growing else left


def _verdict(evidence: LayerEvidence) -> Verdict:
    """Return the verdict on a layer whose values are all finite, by the steps 1 to 7 of `judge`."""
    if evidence.has_no_step:
        return Verdict.TOO_SHORT
    if _silent(evidence.layer):
        return Verdict.NO_GRADIENT
    if evidence.has_no_lag:
        return Verdict.TOO_SHORT
    flow = _of_flow(evidence)
    return flow if _costs(flow, evidence) else Verdict.HEALTHY


def _costs(verdict: Verdict, evidence: LayerEvidence) -> bool:
    """Return whether the loss shows what the gradient shows, as far as it was measured."""
    memory = evidence.memory
    if memory is None:
        return True
    if verdict in (Verdict.VANISHING, Verdict.SATURATED):
        return evidence.missed is not None
    return not memory.learned or memory.better_without is not None


def _of_flow(evidence: LayerEvidence) -> Verdict:
    """Return the verdict on the gradient alone, by the steps 4 to 7 of `judge`."""
    if _grows(evidence):
        return Verdict.CHAOTIC if _is_chaotic(evidence) else Verdict.EXPLODING
    peak = evidence.peak or 0.0 if evidence.has_growth and evidence.peak_lag > 0 else 0.0
    if peak >= PEAK and (evidence.fell or peak >= GROWTH or evidence.sign < 0):
        return Verdict.TRANSIENT
    if _vanishes(evidence):
        full = evidence.saturated is not None and evidence.saturated >= FULL
        return Verdict.SATURATED if full and evidence.layer.traits.keep is None else Verdict.VANISHING
    return Verdict.HEALTHY


def _silent(layer: LayerFlow) -> bool:
    """Return whether no gradient reaches the state, or none the weights."""
    return not any(layer.by_step) or (bool(layer.shares) and not any(share.norm for share in layer.shares))


def _grows(evidence: LayerEvidence) -> bool:
    """Return whether the gradient grows tenfold over all steps, by λ1 or by the curve."""
    sign, end = evidence.sign, evidence.end or 0.0
    by_exponent = sign > 0 and (evidence.exponent or 0.0) * (evidence.steps - 1) >= math.log(GROWTH)
    if by_exponent and not (evidence.fell and end < 1):
        return True
    return evidence.has_growth and end >= GROWTH and sign >= 0


def _is_chaotic(evidence: LayerEvidence) -> bool:
    """Return whether growth with a positive λ1 leaves the state bounded."""
    settled = evidence.state_growth is not None and evidence.state_growth <= BOUNDED
    bounded = evidence.saturated is not None  # known only where all content activations have a range
    return evidence.sign > 0 and not evidence.layer.linear and (settled or bounded)


def _vanishes(evidence: LayerEvidence) -> bool:
    """Return whether less than 1 % is left at the wanted lag, by the curve or else for certain by λ1."""
    if evidence.has_curve and evidence.left is not None:
        return evidence.left < GONE
    if evidence.exponent is None or evidence.exponent == -math.inf:
        return evidence.exponent is not None
    return evidence.sign < 0 and (evidence.exponent + ERRORS * evidence.error) * evidence.wanted < math.log(GONE)


def _nonfinite(flow: Flow, first: NonFinite) -> Finding:
    """Return the finding on a flow whose first non-finite value is `first`."""
    is_initial_state = first.source is Source.INPUT and first.step < 0 <= first.row
    kind = Sentence.INITIAL_STATE if is_initial_state else Sentence[first.source.name]
    said = kind.of(layer=first.layer or "the model", loss=flow.loss, place=place_in_words(first), row=first.row)
    layer = next((layer for layer in flow.layers if layer.name == first.layer), None)
    numbers = {"step": float(first.step), "row": float(first.row)} if first.step >= 0 else {}
    return Finding(
        Verdict.NON_FINITE, first.layer, numbers | {"loss": flow.loss}, said, after_nonfinite(first, flow.loss, layer)
    )
