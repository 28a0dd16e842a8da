"""Section of a run's page on what its kept weights predict of the held-out part."""

import math
from dataclasses import replace

from throughtime.records import Examination, Metric, Record
from throughtime.report.classes import calibration, confusion
from throughtime.report.exhibit import Cell, Exhibit, Section, Table, shown, table
from throughtime.report.fans import fans
from throughtime.report.numbers import errors_by, scatter
from throughtime.report.sections import as_sentence
from throughtime.report.sentences import Says
from throughtime.wording import listed


def predictions(examination: Examination | None, record: Record) -> list[Section]:
    """Return the section, in a list; none where nothing was examined."""
    if examination is None:
        return []
    exhibits: list[Exhibit] = []
    if examination.fans:
        exhibits.append(fans(examination.fans))
    if examination.confusion is not None:
        exhibits.append(confusion(examination.confusion))
    if examination.calibration:
        exhibits.append(calibration(examination.calibration))
    if examination.scatter is not None:
        exhibits.append(scatter(examination.scatter))
    exhibits += [errors_by(errors) for errors in examination.errors]
    sentences = [_sentence(metric) for metric in examination.metrics[1:]]
    beside = [replace(metric, baselines=record.levels) for metric in examination.metrics[:1]]
    tables = [_metrics([*beside, *examination.metrics[1:]]), *_worst(examination)]
    heading = f"Predictions of the held-out {record.data.units}"
    return [Section("predictions", heading, sentences, exhibits, tables)]


def is_outdated(examination: Examination, record: Record) -> bool:
    """Return whether the run has gone on since, and keeps other weights."""
    return examination.update != record.results.best_update


def _sentence(metric: Metric) -> str:
    value = " ".join(part for part in (shown(metric.value), metric.unit) if part)
    beside = [f"{name} {shown(level)}" for name, level in metric.baselines.items() if math.isfinite(level)]
    said = Says.METRIC_BESIDE if beside else Says.METRIC
    return as_sentence(said.value.format(name=metric.name, value=value, beside=listed(beside)))


def _metrics(metrics: list[Metric]) -> Table:
    names = list(dict.fromkeys(name for metric in metrics for name in metric.baselines))
    rows: list[list[Cell]] = [
        [
            f"{metric.name}, {metric.unit}" if metric.unit else metric.name,
            metric.value,
            *(metric.baselines.get(name, math.nan) for name in names),
        ]
        for metric in metrics
    ]
    return table("Metrics of the model and of naive predictions", ["", "model", *names], rows)


def _worst(examination: Examination) -> list[Table]:
    cases = examination.worst
    if cases is None or not cases.cases:
        return []
    heads = [*cases.words, *cases.numbers]
    return [table("The highest losses", heads, [[*case.words, *case.numbers] for case in cases.cases])]
