"""Options of tasks over series."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

from throughtime.errors import ArgumentError
from throughtime.runs.options import option
from throughtime.runs.settings import TaskSettings


@dataclass(frozen=True)
class SeriesSettings(TaskSettings):
    """Options of tasks over series: what the columns of the file are."""

    format: str = option("", "Format of FILE, such as csv or ts. Default: by its name and content.", online=False)
    layout: str = option("", "For arrays: the order of the axes, such as NTC (series, time, column).", online=False)
    target: str = option("", "Column to predict.")
    id: str = option("", "Column that tells the series apart.")
    time: str = option("", "Column of the time of each row.")
    static: str = option("", "Columns with a single value per series, separated by commas.", online=False)
    ignore: str = option("", "Columns to leave out, separated by commas.")
    weight: str = option("", "Column of the weight of each row in the loss, metrics and naive losses.", online=False)
    class_weight: Literal["none", "balanced"] = option(
        "none",
        "Weight of a class in training. balanced: each class weighs as much in all. Validations, metrics and naive "
        "losses do not follow it.",
        online=False,
    )
    split: Literal["auto", "series", "time", "file"] = option(
        "auto",
        "What is held out for validation. series: whole series, drawn by `seed`; time: the end of every series; file: "
        "whole files, or the parts that FILE declares; auto: declared parts, else series, of a single series its end.",
        online=False,
    )

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return the settings among options by name."""
        return cls(**{entry.name: values[entry.name] for entry in fields(cls) if entry.name in values})

    def roles(self) -> Mapping[str, Any]:
        """Return the columns of roles that a task adds, by role."""
        return {}


@dataclass(frozen=True)
class DistributionSettings(SeriesSettings):
    """Options of tasks that predict a distribution of numbers."""

    distribution: Literal["auto", "bernoulli", "categorical", "normal", "student-t", "quantiles", "poisson"] = option(
        "auto",
        "Distribution of numbers that are predicted. Of a next step: bernoulli (0 and 1), normal, student-t (heavy "
        "tails), and words are always categorical; auto: by the column. Of a forecast: quantiles of any form, normal, "
        "student-t, poisson (counts); auto: quantiles.",
        online=False,
    )

    def refuse_distribution(self, task: str, known: Collection[str]) -> None:
        """Raise `ArgumentError` where a task does not know the distribution."""
        if self.distribution not in ("auto", *known):
            allowed = f"the task {task} knows auto, {', '.join(known)}"
            raise ArgumentError("distribution", f"is {self.distribution}", allowed)


def names_in(text: str) -> tuple[str, ...]:
    """Return the names of columns in an option, which commas separate."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
