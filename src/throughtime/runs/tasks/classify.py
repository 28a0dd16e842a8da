"""Task `classify`: one class per series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from throughtime.runs.tasks.answers import Answers, ClassAnswers
from throughtime.runs.tasks.of_answers import PerSeriesTask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from throughtime.data.columns import Column
    from throughtime.data.series import SeriesSet
    from throughtime.data.series_arrays import SeriesArrays
    from throughtime.runs.tasks.series_settings import SeriesSettings


class Classify(PerSeriesTask):
    """Prediction of a class per series, read after its last step."""

    name: ClassVar[str] = "classify"

    @classmethod
    def usual(cls, given: Mapping[str, Any], steps: int | None = None) -> Mapping[str, Any]:
        """Return the defaults that did best on labelled series, see docs/results.md."""
        return {"cell": "gru", "dropout": 0.3}

    @classmethod
    def answers_of(cls, name: str, target: Column) -> Answers:
        """Return the classes."""
        return ClassAnswers.fit(name, target)

    @classmethod
    def classes(cls, series: SeriesSet, given: SeriesSettings) -> Column | None:
        """Return the class of each series; whole numbers are classes too."""
        from throughtime.data.columns import as_words

        return as_words(cls.target_of(series, given)[1])

    def naive(
        self,
        series: SeriesSet,
        arrays: SeriesArrays,
        steps: NDArray[Any],
        constant: NDArray[Any],
        training: SeriesArrays | None,
    ) -> dict[str, NDArray[Any]]:
        """Return the class of the nearest training series.

        It is the nearest in the means and spreads of all columns.
        """
        from throughtime.data.naive import nearest, summaries

        if training is None:
            return {}
        ends = training.starts[1:] - 1
        known = ends if training.mask is None else ends[training.mask[ends]]
        points = summaries(training.inputs, training.starts)[training.series_of(known)]
        asked = summaries(arrays.inputs, arrays.starts)[arrays.series_of(steps)]
        return {"nearest": training.targets[known][nearest(points, asked)]}
