"""Task `label`: a class or a number at every step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from throughtime.errors import InputFileError
from throughtime.runs.tasks.answers import Answers, ClassAnswers, NumberAnswers
from throughtime.runs.tasks.of_answers import AnswerTask
from throughtime.runs.tasks.series_settings import SeriesSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from throughtime.data.columns import Column
    from throughtime.data.series import SeriesSet
    from throughtime.data.series_arrays import SeriesArrays


class Label(AnswerTask):
    """Prediction of a column at every step, from the other columns up to that step."""

    name: ClassVar[str] = "label"

    @classmethod
    def target_of(cls, series: SeriesSet, given: SeriesSettings) -> tuple[str, Column]:
        """Return the target of each step."""
        if given.target not in series.columns:
            raise InputFileError(
                f"{series.origin.name} has no column {given.target or 'named as the `target`'} with a value per step; "
                f"the columns are {', '.join(series.columns)}: name one in `target`."
            )
        return given.target, series.columns[given.target]

    @classmethod
    def answers_of(cls, name: str, target: Column) -> Answers:
        """Return the classes of words, or the scale of numbers."""
        from throughtime.data.columns import Words

        return (ClassAnswers if isinstance(target, Words) else NumberAnswers).fit(name, target)

    def naive(
        self,
        series: SeriesSet,
        arrays: SeriesArrays,
        steps: NDArray[Any],
        constant: NDArray[Any],
        training: SeriesArrays | None,
    ) -> dict[str, NDArray[Any]]:
        """Return the last known target before each step of its series.

        At a step without one it is the constant prediction.
        """
        import numpy as np

        from throughtime.data.naive import before

        known = ~self.target_of(series, self.given)[1].missing  # also where the target does not count
        values, has_past = before(arrays.targets, known, arrays.starts)
        return {"previous": np.where(has_past[steps], values[steps], constant)}
