"""Record and file of what a run's kept weights predict on the held-out part."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from throughtime.errors import RunFolderError
from throughtime.records.files import damaged, versioned, write_aside
from throughtime.records.plain import from_plain, to_plain
from throughtime.records.ranges import (
    Consistent,
    Count,
    FieldError,
    Finite,
    Label,
    Norm,
    PerhapsShare,
    Share,
    check_length,
    same_lengths,
    shown,
)

EXAMINATION = "examination.json"
EXAMINATION_FORMAT = 1
"""Version of the file's layout; a file of another version is refused."""

_CURE = "delete it, and the report goes without, or restore it"


@dataclass(frozen=True)
class Metric:
    """Measure of the quality of predictions, such as an accuracy.

    Attributes:
        name: such as "RMSE".
        value: the number; NaN where the data leave it open.
        unit: such as "nats per step"; empty for a number without a unit.
        baselines: the same measure of naive predictions on the same targets, by name; empty where there are none.
    """

    name: Label
    value: float
    unit: Label = ""
    baselines: dict[Label, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Confusion(Consistent):
    """How often each class was predicted as each class.

    Attributes:
        classes: the names; the last stands for several where `folded` is not 0.
        counts: by the class that came, then by the class that was predicted.
        folded: how many classes the last one stands for; 0: every class is listed.
    """

    classes: list[Label]
    counts: list[list[Count]]
    folded: Count = 0

    def check(self) -> None:
        """Raise `FieldError` where the table is not square."""
        same_lengths(self, "classes", "counts")
        for i, row in enumerate(self.counts):
            check_length(row, len(self.classes), f".counts[{i}]")


@dataclass(frozen=True)
class ChanceBin:
    """Predictions of a class whose probability lies between two bounds.

    Attributes:
        low, high: the bounds.
        count: how many predictions.
        predicted: the mean probability of the class that was predicted; NaN where there is no prediction.
        right: the share of these predictions that were right; NaN where there is no prediction.
    """

    low: Share
    high: Share
    count: Count
    predicted: PerhapsShare
    right: PerhapsShare


@dataclass(frozen=True)
class Scatter(Consistent):
    """Numbers that came, beside their predictions.

    Attributes:
        true, predicted: some pairs, evenly spread over the held-out part, in the unit of the target.
        total: how many pairs there are in all.
    """

    true: list[Finite]
    predicted: list[Finite]
    total: Count

    def check(self) -> None:
        """Raise `FieldError` where a number has no partner."""
        same_lengths(self, "true", "predicted")


@dataclass(frozen=True)
class ErrorsBy(Consistent):
    """Mean errors by what tells targets apart, such as the series.

    Attributes:
        by: what tells the targets apart, for an axis: "step ahead", or "series, worst first".
        measure: the kind of error with its unit, such as "mean absolute error".
        names: of the entries, such as a step or the id of a series.
        errors: of the entries.
        counts: how many targets each entry has.
        total: how many entries there are in all, where those above are some of them, evenly spread.
    """

    by: Label
    measure: Label
    names: list[Label]
    errors: list[Norm]
    counts: list[Count]
    total: Count

    def check(self) -> None:
        """Raise `FieldError` where the lists differ in length."""
        same_lengths(self, "names", "errors")
        same_lengths(self, "names", "counts")


@dataclass(frozen=True)
class Band(Consistent):
    """Range in which values were predicted to lie, at each step ahead.

    Attributes:
        share: the probability of lying inside.
        low, high: the bounds.
    """

    share: Share
    low: list[Finite]
    high: list[Finite]

    def check(self) -> None:
        """Raise `FieldError` where a bound has no partner."""
        same_lengths(self, "low", "high")


@dataclass(frozen=True)
class Fan(Consistent):
    """Forecast of a held-out series, beside what came.

    Attributes:
        series: the id, and the column where there are several.
        cutoff: the time or the step of the last value that was known.
        past: some values up to the cut-off, in order; NaN where one is missing.
        came: the values at each step ahead; NaN where one is missing.
        predicted: the median at each step ahead.
        bands: around the median.
    """

    series: Label
    cutoff: Label
    past: list[float]
    came: list[float]
    predicted: list[Finite]
    bands: list[Band] = field(default_factory=list)

    def check(self) -> None:
        """Raise `FieldError` where the parts have not as many steps ahead."""
        same_lengths(self, "predicted", "came")
        for i, band in enumerate(self.bands):
            check_length(band.low, len(self.predicted), f".bands[{i}].low")


@dataclass(frozen=True)
class CaseRow:
    """Prediction in words and numbers; `Cases` says what they are."""

    words: list[Label]
    numbers: list[float]


@dataclass(frozen=True)
class Cases(Consistent):
    """Predictions to look at, such as those with the highest loss.

    Attributes:
        words, numbers: the heads of the words and the numbers of each case.
        cases: the worst first.
    """

    words: list[Label]
    numbers: list[Label]
    cases: list[CaseRow]

    def check(self) -> None:
        """Raise `FieldError` where a case does not fit the heads."""
        for i, case in enumerate(self.cases):
            check_length(case.words, len(self.words), f".cases[{i}].words")
            check_length(case.numbers, len(self.numbers), f".cases[{i}].numbers")


@dataclass(frozen=True)
class Examination:
    """Predictions of the held-out part by the weights that a run keeps, summed up.

    A task fills in the parts that make sense for it, and the report draws what is there. Every part is of a size that
    does not grow with the data.

    Attributes:
        metrics: the mean loss first.
        confusion, calibration: of classes.
        scatter: of numbers.
        errors: mean errors, by series for example.
        worst: the predictions with the highest loss.
        fans: forecasts of a few series.
        update: the update of the weights that predicted.
    """

    metrics: list[Metric]
    confusion: Confusion | None = None
    calibration: list[ChanceBin] = field(default_factory=list)
    scatter: Scatter | None = None
    errors: list[ErrorsBy] = field(default_factory=list)
    worst: Cases | None = None
    fans: list[Fan] = field(default_factory=list)
    update: Count = 0


@dataclass(frozen=True)
class _ExaminationFile:
    """Content of `examination.json`."""

    format: int
    examination: Examination


def write_examination(folder: Path, examination: Examination) -> None:
    """Write `examination.json`."""
    plain = {"format": EXAMINATION_FORMAT, "examination": to_plain(examination)}
    write_aside(folder / EXAMINATION, (json.dumps(plain, allow_nan=False) + "\n").encode())


def read_examination(folder: Path) -> Examination | None:
    """Read `examination.json`; None where no file exists.

    Raises:
        RunFolderError: the file is damaged or of another version.
    """
    if not (folder / EXAMINATION).exists():
        return None
    plain, version = versioned(folder, EXAMINATION, _CURE)
    if version != EXAMINATION_FORMAT:
        raise RunFolderError(
            f"{folder / EXAMINATION} has format {shown(version)} and this throughtime reads format "
            f"{EXAMINATION_FORMAT}: {_CURE}."
        )
    try:
        return from_plain(_ExaminationFile, plain).examination
    except FieldError as misfit:
        raise damaged(folder / EXAMINATION, _CURE, misfit) from None


def label_of(value: object) -> str:
    """Return an id or another value as text that figures can show."""
    text = str(value)
    return text if text.isprintable() else ascii(text)
