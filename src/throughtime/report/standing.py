"""Where a run stands: is it good, what limits it, what to do."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from throughtime.records import Flow, MetricsRow, Record, UpdateRow, Verdict
from throughtime.report.course import Course, Trend, course_of
from throughtime.report.loss_sentences import Answer, answer, loss_unit_of, verdict_parts
from throughtime.report.sections import finding_of
from throughtime.report.sentences import Says

FAULTS_OF_FLOW = (Verdict.VANISHING, Verdict.SATURATED, Verdict.EXPLODING, Verdict.CHAOTIC, Verdict.TRANSIENT)
"""Verdicts on the gradient that are faults only where the loss shows them."""


class Limits(Enum):
    """Sentences on what limits a run."""

    OVERFITTING = (
        "Overfitting: the validation loss was best after update {best_update} ({best}) and has risen by {change} "
        "since, while the training loss fell from {train} to {last_train}. The weights of update {best_update} are "
        "kept."
    )
    FALLING = "The training is not finished: over its last third the {which} loss still fell by {change}."
    NOTHING = "Nothing that was measured limits it: it neither overfits nor still improves."
    NOT_FOUND = "What limits it was not found: the data may hold no more, or the model may not learn it."
    NOT_TIED = "This diagnosis did not measure whether the loss suffers by it; throughtime diagnose {folder} does."
    OTHER_WEIGHTS = (
        "This diagnosis is of the weights after update {diagnosed}; those that are kept are of update {kept}: "
        "throughtime diagnose {folder} looks at them."
    )


class Badge(Enum):
    """Verdicts on runs in a word or two, beside those on gradients."""

    NO_BETTER = "no better than a guess"
    OVERFITTING = "overfitting"
    FALLING = "not finished"
    GOOD = "good"


class Advice(Enum):
    """Sentences on what to do, each measured to help (docs/advice.md)."""

    MORE_EPOCHS = "Train on: throughtime train --resume {folder} --epochs {epochs}"
    DROPOUT = "Train anew with a dropout of 0.3, or with more data."
    GATES = "Train anew with the cell lstm or gru, whose gates can keep what this layer forgets."
    NONE = "No change is known to help: advice is given only where it was measured to help on such models."


@dataclass(frozen=True)
class Standing:
    """Where a run stands, in words.

    Attributes:
        badge: the verdict in a word or two; "" where nothing is known.
        good: sentences on whether it is good, beside the naive predictions.
        limits: sentences on what limits it.
        advice: what to do, the most promising first; empty where nothing is known to help.
    """

    badge: str
    good: Sequence[str]
    limits: Sequence[str]
    advice: Sequence[str]


def standing(
    folder: Path, record: Record, metrics: Sequence[MetricsRow], updates: Sequence[UpdateRow], flows: Sequence[Flow]
) -> Standing:
    """Return where a run stands, from its records alone."""
    flow = kept_flow(record, flows)
    loss = loss_of(record)
    naive = min(record.levels.values(), default=None)
    course = Course(Trend.UNKNOWN) if record.online else course_of(metrics, updates, naive)
    good = None if loss is None else answer(loss, record.baselines)
    limits = [*_of_flow(folder, record, flow), *_of_course(course, record)]
    advice = _advice(folder, record, flow, course)
    if limits and not advice:
        advice = [Advice.NONE.value]
    if not limits and good is not None:
        limits = [Limits.NOTHING.value if good is Answer.GOOD else Limits.NOT_FOUND.value]
    if flow is not None and not _is_fault(flow):
        limits += finding_of(flow)
    return Standing(_badge(flow, course, good), [loss_sentence(record)], limits, advice)


def kept_flow(record: Record, flows: Sequence[Flow]) -> Flow | None:
    """Return the diagnosis of the weights that are kept, or else the last."""
    kept = [flow for flow in flows if flow.update == record.results.best_update]
    return kept[-1] if kept else flows[-1] if flows else None


def loss_of(record: Record) -> float | None:
    """Return the loss of the best validation, or the latest of a stream."""
    results = record.results
    return results.last_validation_loss if record.online else results.best_validation_loss


def loss_sentence(record: Record) -> str:
    """Return a sentence that compares the loss with the baselines."""
    loss = loss_of(record)
    if loss is None:
        return Says.NO_RESULT.value
    figures, meaning = verdict_parts(loss, record.baselines, record.data.units, record.loss_unit)
    said = Says.STREAM if record.online else Says.VALIDATION
    return said.value.format(answer=answer(loss, record.baselines).value, figures=figures, meaning=meaning)


def _is_fault(flow: Flow) -> bool:
    return flow.finding is None or flow.finding.verdict not in (Verdict.HEALTHY, Verdict.TOO_SHORT)


def _of_flow(folder: Path, record: Record, flow: Flow | None) -> list[str]:
    """Return the faults of the gradient, and which weights were looked at where these are not those that are kept."""
    if flow is None or not _is_fault(flow):
        return []
    said, kept = finding_of(flow), record.results.best_update
    if flow.memory is None and flow.finding is not None and flow.finding.verdict in FAULTS_OF_FLOW:
        said.append(Limits.NOT_TIED.value.format(folder=folder))
    if flow.update is not None and flow.update != kept and not record.online:
        said.append(Limits.OTHER_WEIGHTS.value.format(diagnosed=f"{flow.update:,}", kept=f"{kept:,}", folder=folder))
    return said


def _of_course(course: Course, record: Record) -> list[str]:
    """Return a fault of the training's course."""
    unit = f" {loss_unit_of(record)}".rstrip()
    change = f"{course.change:.3g}{unit}"
    if course.trend is Trend.FALLING:
        return [Limits.FALLING.value.format(which=course.which, change=change)]
    if course.trend is Trend.OVERFITTING and course.best is not None and course.last is not None:
        return [
            Limits.OVERFITTING.value.format(
                best_update=f"{course.best.update:,}", best=f"{course.best.validation_loss:.4g}{unit}", change=change,
                train=f"{course.best.train_loss:.3g}", last_train=f"{course.last.train_loss:.3g}",
            )
        ]  # fmt: skip
    return []


def _badge(flow: Flow | None, course: Course, good: Answer | None) -> str:
    """Return the verdict in a word or two, the worst first."""
    if flow is not None and flow.finding is not None and _is_fault(flow):
        return flow.finding.verdict.value
    if course.trend in (Trend.OVERFITTING, Trend.FALLING):
        return Badge[course.trend.name].value
    if good is not None and good is not Answer.GOOD:
        return Badge.NO_BETTER.value
    return "" if good is None else Badge.GOOD.value


def _advice(folder: Path, record: Record, flow: Flow | None, course: Course) -> list[str]:
    """Return what was measured to help against what limits a run."""
    advice = []
    lost = flow is not None and flow.finding is not None and "missed" in flow.finding.numbers
    if lost and record.model.cell == "rnn":
        advice.append(Advice.GATES.value)
    if course.trend is Trend.FALLING:
        epochs = 2 * max(1, math.ceil(record.results.epochs))
        advice.append(Advice.MORE_EPOCHS.value.format(folder=folder, epochs=epochs))
    if course.trend is Trend.OVERFITTING:
        advice.append(Advice.DROPOUT.value)
    return advice
