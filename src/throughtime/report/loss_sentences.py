"""Compare a loss with those of naive guesses, in words."""

import math
from enum import Enum

from throughtime.records import Baselines, BaselinesOf, Metric, Outcome, Record, named
from throughtime.wording import plural, singular_noun


class LossVerdict(Enum):
    """Conclusions from a loss and those of guesses on the same text. {unit} is a placeholder."""

    WORSE_THAN_CHANCE = (
        "a guess that gives every {unit} the same chance does no worse: the text is unlike that of the training, or "
        "the training diverged"
    )
    NOTHING = "it does no better here than knowing how frequent each {unit} is: no knowledge of order shows"
    PAIRS_AT_MOST = "it does better than the frequencies alone, but no better than a guess from the last {unit} alone"
    CONTEXT = "a guess from the last {unit} alone is worse, so it uses what came before that"


class Answer(Enum):
    """Answers to the question whether a loss is good, beside those of naive predictions."""

    GOOD = "Yes"
    PARTLY = "Not yet"
    BAD = "No"
    UNKNOWN = "Not known"


def answer(loss: float, baselines: BaselinesOf) -> Answer:
    """Return whether a loss is below all naive predictions, some, or none."""
    levels = named(baselines).values()
    if not levels:
        return Answer.UNKNOWN
    beaten = sum(loss < level for level in levels)
    return Answer.GOOD if beaten == len(levels) else Answer.PARTLY if beaten else Answer.BAD


OUTCOMES = {
    Outcome.STARTED: "still running",
    Outcome.INTERRUPTED: "interrupted",
    Outcome.FINISHED: "finished",
    Outcome.NO_IMPROVEMENT: "stopped without improvement",
    Outcome.OUT_OF_TIME: "stopped by its time limit",
}


def verdict(loss: float, baselines: Baselines) -> LossVerdict:
    """Return the verdict on a loss in nats per symbol."""
    if not loss < baselines.uniform:
        return LossVerdict.WORSE_THAN_CHANCE
    if not loss < baselines.unigram:
        return LossVerdict.NOTHING
    return LossVerdict.CONTEXT if loss < baselines.bigram else LossVerdict.PAIRS_AT_MOST


def verdict_parts(loss: float, baselines: BaselinesOf, units: str, loss_unit: str = "") -> tuple[str, str]:
    """Return a loss's distance from the nearer baseline, and a conclusion. Neither ends in a full stop."""
    if not isinstance(baselines, Baselines):
        return _beside_named(loss, baselines, f" {loss_unit}" if loss_unit else "")
    learned = verdict(loss, baselines)
    name, reference = {
        LossVerdict.WORSE_THAN_CHANCE: ("uniform", baselines.uniform),
        LossVerdict.NOTHING: ("unigram", baselines.unigram),
    }.get(learned, ("bigram", baselines.bigram))
    side = "below" if loss < reference else "above"
    singular = singular_noun(units)
    figures = f"{both(loss)} per {singular}, {abs(reference - loss):.3f} nats {side} the {name} guess"
    return figures, learned.value.format(unit=singular)


def _beside_named(loss: float, baselines: dict[str, float], loss_unit: str) -> tuple[str, str]:
    """Compare a loss with the baselines that a task names.

    It is compared with the best that is beaten, or else the nearest above it.
    """
    if not baselines:
        return f"{loss:.4g}{loss_unit}", "there is no naive prediction to compare with"
    beaten = {name: level for name, level in baselines.items() if loss < level}
    name, level = min((beaten or baselines).items(), key=lambda item: item[1] if beaten else -item[1])
    side = "below" if beaten else "above"
    left = len(baselines) - len(beaten)
    meaning = (
        "it beats every naive prediction" if not left else f"{plural(left, 'naive prediction')} did as well or better"
    )
    return f"{loss:.4g}{loss_unit}, {abs(level - loss):.3g} {side} the baseline {name!r}", meaning


def said_metric(metric: Metric) -> str:
    """Return a metric with its baselines, such as "accuracy 0.973 (majority 0.147, nearest 0.906)"."""
    return f"{metric.name} {metric_value(metric)}"


def metric_value(metric: Metric) -> str:
    """Return the value of a metric, with its unit and its baselines."""
    beside = ", ".join(f"{name} {value:.4g}" for name, value in metric.baselines.items())
    return " ".join(part for part in (f"{metric.value:.4g}", metric.unit, f"({beside})" if beside else "") if part)


def bits(nats: float) -> float:
    """Return nats as bits."""
    return nats / math.log(2)


def both(nats: float) -> str:
    """Return a loss in both units, such as "1.612 nats (2.326 bits)"."""
    return f"{nats:.3f} nats ({bits(nats):.3f} bits)"


def measure_of(record: Record) -> str:
    """Return the unit of a run's losses, such as "nats per character"."""
    loss_unit = loss_unit_of(record)
    return f"{loss_unit} per {singular_noun(record.data.units)}" if loss_unit else record.loss or "loss"


def loss_unit_of(record: Record) -> str:
    """Return the unit of the loss itself; records of version 0.1.0 do not name it."""
    return record.loss_unit or ("nats" if isinstance(record.baselines, Baselines) else "")
