"""Compare a loss with the entropies of the same text, in words."""

import math
from enum import Enum

from throughtime.records import Baselines, Outcome


class LossVerdict(Enum):
    """What a model has learned, judged by its loss and the entropies of the same text; {unit} is a placeholder."""

    WORSE_THAN_CHANCE = "giving every {unit} the same chance does no worse: the training diverged, or has hardly begun"
    NOTHING = "it does no better here than knowing how frequent each {unit} is: no knowledge of order shows"
    PAIRS_AT_MOST = (
        "it does better than the frequencies alone, but no better than the best guess from the last {unit} alone"
    )
    CONTEXT = "no guess from the last {unit} alone can be that good, so it uses what came before that"


OUTCOMES = {
    Outcome.STARTED: "still running",
    Outcome.INTERRUPTED: "interrupted",
    Outcome.FINISHED: "finished",
    Outcome.NO_IMPROVEMENT: "stopped by --patience",
    Outcome.OUT_OF_TIME: "stopped by --max-minutes",
}


def verdict(loss: float, baselines: Baselines) -> LossVerdict:
    """Return the verdict on a loss in nats per symbol."""
    if not loss < baselines.uniform:
        return LossVerdict.WORSE_THAN_CHANCE
    if not loss < baselines.unigram:
        return LossVerdict.NOTHING
    return LossVerdict.CONTEXT if loss < baselines.bigram else LossVerdict.PAIRS_AT_MOST


def verdict_parts(loss: float, baselines: Baselines, units: str) -> tuple[str, str]:
    """Return the distance of a loss in nats from the nearer entropy, and its meaning; neither ends in a full stop."""
    learned = verdict(loss, baselines)
    name, reference = {
        LossVerdict.WORSE_THAN_CHANCE: ("uniform", baselines.uniform),
        LossVerdict.NOTHING: ("unigram", baselines.unigram),
    }.get(learned, ("bigram", baselines.bigram))
    side = "below" if loss < reference else "above"
    singular = unit(units)
    figures = f"{both(loss)} per {singular}, {abs(reference - loss):.3f} nats {side} the {name} entropy"
    return figures, learned.value.format(unit=singular)


def bits(nats: float) -> float:
    """Return nats as bits."""
    return nats / math.log(2)


def both(nats: float) -> str:
    """Return a loss in both units, such as "1.612 nats (2.326 bits)"."""
    return f"{nats:.3f} nats ({bits(nats):.3f} bits)"


def unit(units: str) -> str:
    """Return the singular of "characters" or "bytes"."""
    return units.removesuffix("s")
