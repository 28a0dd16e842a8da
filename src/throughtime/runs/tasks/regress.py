"""Task `regress`: one number per series."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from throughtime.runs.tasks.answers import Answers, NumberAnswers
from throughtime.runs.tasks.of_series import SeriesSettings, SeriesTask, target_per_series

if TYPE_CHECKING:
    from throughtime.data.columns import Column
    from throughtime.data.series import SeriesSet


class Regress(SeriesTask):
    """Prediction of a number per series, read after its last step."""

    name: ClassVar[str] = "regress"
    per_series: ClassVar[bool] = True

    @classmethod
    def target_of(cls, series: SeriesSet, given: SeriesSettings) -> tuple[str, Column]:
        """Return the number of each series."""
        return target_per_series(series, given, cls.name)

    @classmethod
    def answers_of(cls, name: str, target: Column) -> Answers:
        """Return the scale of the numbers."""
        return NumberAnswers.fit(name, target)
