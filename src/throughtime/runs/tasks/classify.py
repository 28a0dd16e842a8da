"""Task `classify`: one class per series."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from throughtime.runs.tasks.answers import Answers, ClassAnswers
from throughtime.runs.tasks.of_answers import PerSeriesTask

if TYPE_CHECKING:
    from throughtime.data.columns import Column
    from throughtime.data.series import SeriesSet
    from throughtime.runs.tasks.series_settings import SeriesSettings


class Classify(PerSeriesTask):
    """Prediction of a class per series, read after its last step."""

    name: ClassVar[str] = "classify"

    @classmethod
    def answers_of(cls, name: str, target: Column) -> Answers:
        """Return the classes."""
        return ClassAnswers.fit(name, target)

    @classmethod
    def classes(cls, series: SeriesSet, given: SeriesSettings) -> Column | None:
        """Return the class of each series; whole numbers are classes too."""
        from throughtime.data.columns import as_words

        return as_words(cls.target_of(series, given)[1])
