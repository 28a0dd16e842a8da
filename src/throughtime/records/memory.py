"""Record of the past that a model uses, and that it leaves unused."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from throughtime.records.ranges import Consistent, Count, FieldError, Finite, Norm, Size

MATERIAL = 0.01
"""Share of a naive prediction's loss below which a difference of losses counts as none."""
CERTAIN = 3.0
"""Standard errors by which a difference must exceed 0. One in 700 differences of chance alone exceeds it."""


@dataclass(frozen=True)
class Context:
    """Loss of a model that sees the last `steps` steps alone.

    Attributes:
        steps: how many steps it reads before it predicts, from a zero state; the last is that of the prediction.
        loss: the mean loss then.
        error: the standard error of its difference from the loss with the whole past; nan where there is none.
    """

    steps: Size
    loss: Finite
    error: Norm


@dataclass(frozen=True)
class LagGain:
    """Gain of predictions by inputs at some lags, which the model does not use.

    Attributes:
        low, high: the lags, both included.
        lag: the lag that predicts best, or `high` where the mean of all does.
        gain: by how much a linear term of these inputs lowers the loss, on data that it was not fitted to.
        error: its standard error; nan where there is none.
    """

    low: Count
    high: Count
    lag: Count
    gain: Finite
    error: Norm


@dataclass(frozen=True)
class Memory(Consistent):
    """Measured use of the past, on data that were not trained on.

    Attributes:
        targets: the number of predictions that it rests on.
        whole: their mean loss with the whole past.
        naive: the loss of the best naive prediction; None where there is none.
        longest: the number of steps of the whole past, of the prediction with the longest.
        contexts: the losses with shorter pasts, the shortest first.
        unused: what the inputs of each band of lags would add, the nearest first.
    """

    targets: Size
    whole: Finite
    naive: Finite | None
    longest: Size
    contexts: list[Context]
    unused: list[LagGain]

    def check(self) -> None:
        """Raise `FieldError` where parts do not fit together."""
        steps = [context.steps for context in self.contexts]
        if steps != sorted(set(steps)):
            raise FieldError("has steps out of order", "ordered by steps", ".contexts")

    @property
    def material(self) -> float:
        """Smallest difference of losses that counts."""
        return MATERIAL * abs(self.whole if self.naive is None else self.naive)

    @property
    def learned(self) -> bool:
        """Whether the model is better than the best naive prediction, where that is known."""
        return self.naive is None or self.whole < self.naive

    @property
    def used(self) -> int | None:
        """Steps of the past from which on a longer past no longer lowers the loss.

        None: it was not measured.
        """
        if not self.contexts:
            return None
        short = [context.steps for context in self.contexts if context.loss - self.whole > self.material]
        longer = [context.steps for context in self.contexts if not short or context.steps > short[-1]]
        return longer[0] if longer else self.longest

    @property
    def better_without(self) -> Context | None:
        """Shorter past with which the loss is certainly lower, if any."""
        least = min(self.contexts, key=lambda context: context.loss, default=None)
        return least if least is not None and self._counts(self.whole - least.loss, least.error) else None

    def missed(self, beyond: float) -> LagGain | None:
        """Return the band of lags whose inputs would certainly lower the loss most, if any.

        Args:
            beyond: bands that reach down to this lag are passed over.
        """
        return _largest(gain for gain in self.unused if gain.low > beyond and self._counts(gain.gain, gain.error))

    def _counts(self, difference: float, error: float) -> bool:
        return difference > self.material and difference > CERTAIN * error and not math.isnan(error)


def _largest(gains: Iterable[LagGain]) -> LagGain | None:
    return max(gains, key=lambda gain: gain.gain, default=None)
