"""Task `regress`: one number per series."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from throughtime.runs.tasks.answers import Answers, NumberAnswers
from throughtime.runs.tasks.of_answers import PerSeriesTask

if TYPE_CHECKING:
    from throughtime.data.columns import Column


class Regress(PerSeriesTask):
    """Prediction of a number per series, read after its last step."""

    name: ClassVar[str] = "regress"

    @classmethod
    def answers_of(cls, name: str, target: Column) -> Answers:
        """Return the scale of the numbers."""
        return NumberAnswers.fit(name, target)
