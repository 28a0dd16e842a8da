"""Kinds of targets of series, a class or a number, with losses and metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from throughtime.errors import InputFileError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from throughtime.data.columns import Column
    from throughtime.data.scores import Weights
    from throughtime.runs.tasks.tallies import AnswerTally


class Answers(ABC):
    """Kind of target, fitted to the training part.

    Attributes:
        column: the name of the target, for messages and predictions.
    """

    loss_name: ClassVar[str]
    loss_unit: ClassVar[str]
    column: str

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of outputs of the readout."""

    @abstractmethod
    def numbers(self, column: Column) -> NDArray[Any]:
        """Return targets as numbers [targets]; any number where one is missing.

        Raises:
            InputFileError: the column holds a target that the model never saw, or another kind of target.
        """

    @abstractmethod
    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each target [targets], of outputs [targets, size]."""

    def objective(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return what training minimises for each target [targets]."""
        return self.losses(outputs, targets)

    @abstractmethod
    def tally(self) -> AnswerTally:
        """Return sums over predictions, without any yet."""

    @abstractmethod
    def constant(self, targets: int) -> tuple[str, NDArray[Any]]:
        """Return the name of the best constant prediction, and the prediction as numbers [targets]."""

    def naive_metrics(
        self, naive: dict[str, NDArray[Any]], targets: NDArray[Any], weights: Weights = None
    ) -> dict[str, dict[str, float]]:
        """Return the metrics of naive predictions: metric → prediction → value.

        Args:
            naive: predictions as numbers [targets], by name.
            targets: as numbers [targets].
            weights: [targets].
        """
        metrics: dict[str, dict[str, float]] = {}
        for name, predicted in naive.items():
            scores = self.tally().scores
            scores.add(self.in_unit(predicted), self.in_unit(targets), weights)
            for metric, value in scores.named().items():
                metrics.setdefault(metric, {})[name] = value
        return metrics

    def in_unit(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Return numbers in the unit of the target."""
        return numbers

    @abstractmethod
    def baselines(self, targets: NDArray[Any], weights: Weights = None) -> dict[str, float]:
        """Return the losses of naive predictions of targets, by name, the worst first."""

    @abstractmethod
    def columns(self, outputs: NDArray[np.float64]) -> dict[str, Column]:
        """Return the columns [targets] of predictions, from outputs [targets, size]."""


@dataclass(frozen=True)
class ClassAnswers(Answers):
    """A class, predicted by a softmax.

    Attributes:
        column: the name of the target.
        levels: the classes, in the order of the outputs.
        shares: the share of each class in the training part.
        whole: whether the classes came as whole numbers.
        balanced: whether each class weighs as much in training, all its targets together.
    """

    loss_name: ClassVar[str] = "cross-entropy"
    loss_unit: ClassVar[str] = "nats"
    column: str
    levels: tuple[str, ...]
    shares: tuple[float, ...]
    whole: bool = False
    balanced: bool = False

    @classmethod
    def fit(cls, name: str, column: Column, balanced: bool = False) -> ClassAnswers:
        """Return the classes of a training part. A number is a class too, where it came as a whole number.

        Raises:
            InputFileError: there are fewer than two classes, or numbers that are not whole.
        """
        import numpy as np

        from throughtime.data.columns import Words
        from throughtime.data.large import blocks
        from throughtime.data.naive import shares_of

        if not isinstance(column, Words) and not column.whole:
            raise InputFileError(
                f"The target {name} holds numbers with decimals, which are no classes: take the task regress or label."
            )
        words, numbers = _numbered(column)
        counts = np.zeros(len(words) + 1, dtype=np.int64)
        for rows in blocks(len(numbers)):
            counts += np.bincount(numbers[rows] + 1, minlength=len(counts))  # the first counts those that are missing
        levels = tuple(sorted({word for word, count in zip(words, counts[1:], strict=True) if count}, key=_natural))
        if len(levels) < 2:
            raise InputFileError(
                f"The target {name} has {'the single class ' + levels[0] if levels else 'no class'} in the training "
                "part; it takes two to tell apart."
            )
        of_level = dict(zip(words, counts[1:].tolist(), strict=True))
        shares = shares_of(np.repeat(np.arange(len(levels)), [of_level[level] for level in levels]), len(levels))
        return cls(name, levels, tuple(shares.tolist()), not isinstance(column, Words), balanced)

    @property
    def size(self) -> int:
        """Number of classes."""
        return len(self.levels)

    def numbers(self, column: Column) -> NDArray[Any]:
        """Return the number of each class [targets]."""
        import numpy as np

        from throughtime.data.large import computed, is_mapped

        place = {word: number for number, word in enumerate(self.levels)}
        words, numbers = _numbered(column)
        of_word = np.array([*(place.get(word, -1) for word in words), 0])  # the last is that of ABSENT, -1

        def block(rows: slice) -> NDArray[np.int64]:
            classes = of_word[numbers[rows]]
            if (classes < 0).any():
                word = words[numbers[rows][(classes < 0).argmax()]]
                raise InputFileError(
                    f"The target {self.column} has the class {word}, which the model never saw in training; it knows "
                    f"{', '.join(self.levels[:20])}{' …' if len(self.levels) > 20 else ''}."
                )
            return classes

        return computed(block, len(column), mapped=is_mapped(column.codes))

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the cross-entropy of each target, in nats."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs, targets, reduction="none")

    def objective(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the cross-entropy of each target, times the weight of its class."""
        losses = self.losses(outputs, targets)
        if not self.balanced:
            return losses
        return losses / (self.size * losses.new_tensor(self.shares)[targets])

    def tally(self) -> AnswerTally:
        """Return sums over predictions of classes."""
        from throughtime.runs.tasks.tallies import ClassTally

        return ClassTally(self.levels)

    def constant(self, targets: int) -> tuple[str, NDArray[Any]]:
        """Return the class that is the most frequent in the training part."""
        import numpy as np

        return "majority", np.full(targets, np.argmax(self.shares))

    def baselines(self, targets: NDArray[Any], weights: Weights = None) -> dict[str, float]:
        """Return the losses of equal chances, and of the shares of the training part."""
        import numpy as np

        from throughtime.data.naive import guessing_loss

        equal = np.full(self.size, 1 / self.size)
        losses = {
            "equal chances": guessing_loss(equal, targets, weights),
            "shares": guessing_loss(np.array(self.shares), targets, weights),
        }
        return dict(sorted(losses.items(), key=lambda entry: -entry[1]))

    def columns(self, outputs: NDArray[np.float64]) -> dict[str, Column]:
        """Return the class, and the probability of each."""
        import numpy as np

        from throughtime.data.columns import Numbers, Words

        probabilities = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        best = outputs.argmax(axis=1).astype(np.int32)
        classes = Numbers(np.array(self.levels, dtype=np.float64)[best], True) if self.whole else None
        chances = {f"p({level})": Numbers(probabilities[:, i]) for i, level in enumerate(self.levels)}
        return {self.column: classes or Words(best, self.levels), **chances}


@dataclass(frozen=True)
class NumberAnswers(Answers):
    """A number, predicted by its mean.

    Attributes:
        column: the name of the target.
        mean, spread: of the training part; the readout's output is (number - mean) / spread.
    """

    loss_name: ClassVar[str] = "MSE"
    loss_unit: ClassVar[str] = ""
    column: str
    mean: float
    spread: float

    @classmethod
    def fit(cls, name: str, column: Column) -> NumberAnswers:
        """Return the scale of a training part.

        Raises:
            InputFileError: the column holds words, no number, or one number only.
        """
        from throughtime.data.columns import Numbers
        from throughtime.data.encoding import Feature

        if not isinstance(column, Numbers):
            raise InputFileError(f"The target {name} holds words, which are classes: take the task classify or label.")
        if column.missing.all():
            raise InputFileError(f"The target {name} is missing everywhere in the training part.")
        scale = Feature.fit(name, column)
        return cls(name, scale.mean, scale.spread)

    @property
    def size(self) -> int:
        """One."""
        return 1

    def numbers(self, column: Column) -> NDArray[Any]:
        """Return scaled targets [targets]."""
        from throughtime.data.columns import Numbers
        from throughtime.data.encoding import scaled

        if not isinstance(column, Numbers):
            raise InputFileError(f"The target {self.column} holds words; in training it held numbers.")
        return scaled(column, self.mean, self.spread)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the squared error of each target, in the target's own unit."""
        return self.objective(outputs, targets) * self.spread**2

    def objective(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the squared error of each scaled target."""
        return (outputs[:, 0] - targets).square()

    def tally(self) -> AnswerTally:
        """Return sums over predictions of numbers."""
        from throughtime.runs.tasks.tallies import NumberTally

        return NumberTally(self.mean, self.spread)

    def constant(self, targets: int) -> tuple[str, NDArray[Any]]:
        """Return the mean of the training part."""
        import numpy as np

        return "mean", np.zeros(targets)

    def in_unit(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Return scaled numbers in the unit of the target."""
        return numbers * self.spread + self.mean

    def baselines(self, targets: NDArray[Any], weights: Weights = None) -> dict[str, float]:
        """Return the loss of the training part's mean."""
        import numpy as np

        return {"mean": float(np.average(targets.astype(float) ** 2, weights=weights)) * self.spread**2}

    def columns(self, outputs: NDArray[np.float64]) -> dict[str, Column]:
        """Return the number."""
        from throughtime.data.columns import Numbers

        return {self.column: Numbers(self.in_unit(outputs[:, 0]))}


def _numbered(column: Column) -> tuple[Sequence[str], NDArray[Any]]:
    """Return the distinct cells of a column as words, and their numbers [rows]; `ABSENT` where a cell is missing."""
    import numpy as np

    from throughtime.data.columns import ABSENT, Numbers, Words
    from throughtime.data.large import computed, distinct_of, is_mapped

    if isinstance(column, Words):
        return column.levels, column.numbers
    distinct = distinct_of(column.values)

    def block(rows: slice) -> NDArray[Any]:
        values = column.values[rows]
        return np.where(np.isnan(values), ABSENT, np.searchsorted(distinct, values))

    cells = map(Numbers(distinct, column.whole).cell, range(len(distinct)))
    return [str(cell) for cell in cells], computed(block, len(column), mapped=is_mapped(column.values))


def _natural(word: str) -> tuple[bool, float, str]:
    """Return a key that sorts whole numbers by size, before words."""
    try:
        return False, float(word), word
    except ValueError:
        return True, 0.0, word
