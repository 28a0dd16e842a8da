"""Sums over predictions as they come, from which metrics and the report's figures are made.

Their size does not grow with the number of predictions; sums by series have a place for each series.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughtime.data.scores import ClassScores, NumberScores, Scores, Weights, confusion
from throughtime.records import CaseRow, Cases, ChanceBin, Confusion, ErrorsBy, Examination, Metric, Scatter, label_of

_WORST, _PAIRS, _SERIES, _CLASSES, _BINS = 12, 1000, 200, 30, 10
"""The most cases, pairs, series and classes that an examination lists, and the bins of a calibration."""


class AnswerTally(ABC):
    """Sums over predictions, of which each belongs to a step of a series.

    Args:
        measure: the kind of error that `errors` adds up.
    """

    def __init__(self, measure: str) -> None:
        self.count = 0
        self._loss = self._weight = 0.0
        self._worst = Worst()
        self._by_series = SeriesErrors(measure)

    @property
    @abstractmethod
    def scores(self) -> Scores:
        """Scores of the predictions so far."""

    @abstractmethod
    def _take(
        self, outputs: NDArray[np.float64], targets: NDArray[Any], weights: Weights
    ) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Add outputs [targets, size]; return what a list of cases needs [targets, …], and errors [targets]."""

    @abstractmethod
    def _filled(self, examination: Examination, worst: Worst, names: Sequence[Any]) -> Examination:
        """Return an examination with the parts of this kind of target."""

    def add(
        self,
        outputs: NDArray[np.float64],
        targets: NDArray[Any],
        losses: NDArray[np.float64],
        places: NDArray[np.int64] | None,
        weights: Weights = None,
    ) -> None:
        """Add predictions.

        Args:
            outputs: [targets, size] of the readout.
            targets: [targets].
            losses: [targets].
            places: [targets, 2], series and step of each; None where they are not known.
            weights: [targets], in the mean loss and the scores; other figures count predictions.
        """
        if not len(targets):
            return
        self.count += len(targets)
        self._loss += float(losses.sum() if weights is None else (losses * weights).sum())
        self._weight += len(targets) if weights is None else float(weights.sum())
        details, errors = self._take(outputs, targets, weights)
        if places is not None:
            self._worst.add(losses, places, details)
            self._by_series.add(places[:, 0], errors)

    @property
    def _step_heads(self) -> list[str]:
        """Head of the step of a case; none where a series has a single target."""
        return ["step"] if self._by_series.repeated else []

    def _steps(self, place: Sequence[int]) -> list[float]:
        return [float(place[1])] if self._by_series.repeated else []

    def metrics(self, name: str, unit: str) -> list[Metric]:
        """Return the mean loss, with its name and unit, and the scores."""
        others = [Metric(other, value) for other, value in self.scores.named().items()]
        return [Metric(name, self._loss / self._weight, unit), *others]

    def examination(self, metrics: list[Metric], names: Sequence[Any]) -> Examination:
        """Return all that the report shows.

        Args:
            metrics: those of `metrics`.
            names: the id of each series.
        """
        errors = self._by_series.ranked(names)
        return self._filled(Examination(metrics, errors=[errors] if errors else []), self._worst, names)


class ClassTally(AnswerTally):
    """Sums over predictions of classes.

    Args:
        levels: the classes, in the order of the outputs.
    """

    def __init__(self, levels: Sequence[str]) -> None:
        super().__init__("share of steps predicted wrongly")
        self._levels = [label_of(level) for level in levels]
        self._scores = ClassScores(len(levels))
        self._counts = np.zeros((len(levels),) * 2, dtype=np.int64)
        self._bins = np.zeros((_BINS, 3))  # predictions, sums of their probabilities, right ones

    @property
    def scores(self) -> ClassScores:
        """Scores of the classes so far."""
        return self._scores

    def _take(
        self, outputs: NDArray[np.float64], targets: NDArray[Any], weights: Weights
    ) -> tuple[NDArray[Any], NDArray[np.float64]]:
        best = outputs.argmax(axis=1)
        chances = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        chance, right = chances.max(axis=1), best == targets
        self._scores.add(best, targets, weights)
        self._counts += confusion(best, targets, len(self._counts)).astype(np.int64)
        bins = np.minimum((chance * _BINS).astype(np.int64), _BINS - 1)
        for place, weights in enumerate((None, chance, right)):
            self._bins[:, place] += np.bincount(bins, weights, minlength=_BINS)
        return np.stack((targets, best, chance, chances[np.arange(len(targets)), targets]), axis=1), 1.0 - right

    def _filled(self, examination: Examination, worst: Worst, names: Sequence[Any]) -> Examination:
        cases = [
            CaseRow(
                [worst.name(place, names), self._levels[int(came)], self._levels[int(best)]],
                [*self._steps(place), chance, of_class, loss],
            )
            for loss, place, (came, best, chance, of_class) in worst.listed()
        ]
        numbers = [*self._step_heads, "its probability", "that of the true class", "loss"]
        return Examination(
            examination.metrics,
            confusion=self._confusion(),
            calibration=[self._bin(place) for place in range(_BINS)],
            errors=examination.errors if self._by_series.repeated else [],  # else errors are 0 or 1
            worst=Cases(["series", "true", "predicted"], numbers, cases),
        )

    def _confusion(self) -> Confusion:
        """Return the table of all classes, or of the most frequent with the others in a single one."""
        matrix = self._counts
        if len(matrix) <= _CLASSES:
            return Confusion(self._levels, matrix.tolist())
        order = np.argsort(-(matrix.sum(axis=0) + matrix.sum(axis=1)), kind="stable")
        kept = np.sort(order[: _CLASSES - 1])
        place = np.full(len(matrix), len(kept))
        place[kept] = np.arange(len(kept))
        few = np.zeros((_CLASSES, _CLASSES), dtype=np.int64)
        np.add.at(few, (place[:, None], place[None]), matrix)
        names = [self._levels[level] for level in kept]
        return Confusion([*names, "others"], few.tolist(), folded=len(matrix) - len(kept))

    def _bin(self, place: int) -> ChanceBin:
        count, chance, right = self._bins[place]
        share = (float(chance / count), float(right / count)) if count else (float("nan"),) * 2
        return ChanceBin(place / _BINS, (place + 1) / _BINS, int(count), *share)


class NumberTally(AnswerTally):
    """Sums over predictions of numbers.

    Args:
        mean, spread: of a scaled number: (number - mean) / spread.
    """

    def __init__(self, mean: float, spread: float) -> None:
        super().__init__("mean absolute error")
        self._mean, self._spread = mean, spread
        self._scores = NumberScores()
        self._pairs, self._every = np.zeros((0, 2)), 1

    @property
    def scores(self) -> NumberScores:
        """Scores of the numbers so far, in their unit."""
        return self._scores

    def _take(
        self, outputs: NDArray[np.float64], targets: NDArray[Any], weights: Weights
    ) -> tuple[NDArray[Any], NDArray[np.float64]]:
        pairs = np.stack((targets, outputs[:, 0]), axis=1).astype(np.float64) * self._spread + self._mean
        self._scores.add(pairs[:, 1], pairs[:, 0], weights)
        first = -(self.count - len(pairs)) % self._every  # every so many-th of all pairs, not of those of a chunk
        self._pairs = np.concatenate((self._pairs, pairs[first :: self._every]))
        while len(self._pairs) > _PAIRS:
            self._pairs, self._every = self._pairs[::2], self._every * 2
        return pairs, abs(pairs[:, 1] - pairs[:, 0])

    def _filled(self, examination: Examination, worst: Worst, names: Sequence[Any]) -> Examination:
        cases = [
            CaseRow([worst.name(place, names)], [*self._steps(place), came, told, told - came, loss])
            for loss, place, (came, told) in worst.listed()
        ]
        return Examination(
            examination.metrics,
            scatter=Scatter(self._pairs[:, 0].tolist(), self._pairs[:, 1].tolist(), self.count),
            errors=examination.errors,
            worst=Cases(["series"], [*self._step_heads, "true", "predicted", "predicted − true", "loss"], cases),
        )


class Worst:
    """The predictions with the highest loss; among equal ones those that came first."""

    def __init__(self) -> None:
        self._losses, self._places = np.zeros(0), np.zeros((0, 2), dtype=np.int64)
        self._details: NDArray[Any] | None = None

    def add(self, losses: NDArray[np.float64], places: NDArray[np.int64], details: NDArray[Any]) -> None:
        """Add predictions [targets], with their series and step [targets, 2] and details [targets, …]."""
        if self._details is not None:
            losses, places = np.concatenate((self._losses, losses)), np.concatenate((self._places, places))
            details = np.concatenate((self._details, details))
        kept = np.argsort(-losses, kind="stable")[:_WORST]
        self._losses, self._places, self._details = losses[kept], places[kept], details[kept]

    def listed(self) -> list[tuple[float, list[int], list[float]]]:
        """Return loss, place and details of each, the highest loss first."""
        details = [] if self._details is None else self._details.tolist()
        return list(zip(self._losses.tolist(), self._places.tolist(), details, strict=True))

    @staticmethod
    def name(place: Sequence[int], names: Sequence[Any]) -> str:
        """Return the id of the series of a place."""
        return label_of(names[place[0]]) if len(names) else str(place[0])


class SeriesErrors:
    """Mean error of each series.

    Args:
        measure: the kind of error.
    """

    def __init__(self, measure: str) -> None:
        self._measure = measure
        self._sums, self._counts = np.zeros(0), np.zeros(0, dtype=np.int64)

    @property
    def repeated(self) -> bool:
        """Whether a series has more than one error."""
        return bool((self._counts > 1).any())

    def add(self, series: NDArray[np.int64], errors: NDArray[np.float64]) -> None:
        """Add errors [targets] of series [targets], by number."""
        if (last := int(series.max())) >= len(self._sums):
            missing = max(last + 1, 2 * len(self._sums)) - len(self._sums)  # doubled, so that this stays rare
            self._sums, self._counts = np.pad(self._sums, (0, missing)), np.pad(self._counts, (0, missing))
        np.add.at(self._sums, series, errors)
        np.add.at(self._counts, series, 1)

    def ranked(self, names: Sequence[Any]) -> ErrorsBy | None:
        """Return the errors of the series, the worst first; None without any."""
        present = np.flatnonzero(self._counts)
        means = self._sums[present] / self._counts[present]
        order = np.argsort(-means, kind="stable")
        picked = order[np.unique(np.rint(np.linspace(0, len(order) - 1, min(len(order), _SERIES))).astype(np.int64))]
        if not len(order):
            return None
        return ErrorsBy(
            "series, worst first",
            self._measure,
            [Worst.name([int(series)], names) for series in present[picked]],
            means[picked].tolist(),
            self._counts[present[picked]].tolist(),
            len(order),
        )
