"""Categorical distribution of a column of words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from throughtime.errors import InputFileError
from throughtime.runs.tasks.base import Metric
from throughtime.runs.tasks.distributions import Distribution

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor
    from torch.distributions import Distribution as Law

    from throughtime.data.columns import Cell, Column


@dataclass(frozen=True)
class WordsOf(Distribution):
    """Chance of each word of a single column.

    Attributes:
        columns: its name.
        levels: the words, in the order of the outputs.
        shares: [levels] the share of each word in the training part.
        stays: the share of steps whose word is that of the step before.
    """

    kind: ClassVar[str] = "categorical"
    levels: tuple[str, ...]
    shares: tuple[float, ...]
    stays: float

    @classmethod
    def fit(cls, columns: Mapping[str, Column], name: str, followed: NDArray[np.bool_]) -> WordsOf:
        """Return the words and shares of a training part.

        Args:
            columns: name → column [steps].
            name: that of the words.
            followed: True [steps] where the next step is of the same series.

        Raises:
            InputFileError: the column has no word.
        """
        import numpy as np

        from throughtime.data.columns import as_words, by_first_row
        from throughtime.data.naive import shares_of

        words = by_first_row(as_words(columns[name]))
        if not words.levels:
            raise InputFileError(f"The column {name} has no value in the training part: name it in `ignore`.")
        numbers = words.numbers[~words.missing].astype(np.int64)
        before, after = words.numbers[:-1][followed[:-1]], words.numbers[1:][followed[:-1]]
        both = (before >= 0) & (after >= 0)
        stays = (float((before == after)[both].sum()) + 0.5) / (int(both.sum()) + 1)
        return cls((name,), words.levels, tuple(shares_of(numbers, len(words.levels)).tolist()), stays)

    @property
    def size(self) -> int:
        """Number of words."""
        return len(self.levels)

    def numbers(self, columns: Mapping[str, Column]) -> NDArray[np.float64]:
        """Return the number of each word [steps, 1]."""
        import numpy as np

        from throughtime.data.columns import as_words

        words, place = as_words(columns[self.columns[0]]), {word: float(at) for at, word in enumerate(self.levels)}
        used = [words.levels[level] for level in np.unique(words.numbers[~words.missing])]
        for word in used:
            if word not in place:
                raise InputFileError(
                    f"The column {self.columns[0]} holds the word {word}, which the model never saw in training; it "
                    f"knows {', '.join(self.levels[:20])}{' …' if len(self.levels) > 20 else ''}: leave it out, or "
                    "name the column in `id`, if it tells the series apart, or in `ignore`."
                )
        # The last place is that of missing words, whose number is -1.
        return np.array([*(place.get(word, np.nan) for word in words.levels), np.nan])[words.numbers][:, None]

    def start(self) -> list[float]:
        """Return the logarithms of the shares."""
        import torch

        return torch.tensor(self.shares).log().tolist()

    def law(self, outputs: Tensor, before: Tensor, temperature: float = 1.0) -> Law:
        """Return the chance of each word."""
        return _categorical((outputs / temperature).unsqueeze(-2))

    def marginal(self) -> Law:
        """Return the shares."""
        import torch

        return _categorical(torch.tensor(self.shares, dtype=torch.float64).log()[None])

    def persistence(self, before: Tensor) -> Law:
        """Return the chance that the word before stays, and shares of the others."""
        import torch

        shares = torch.tensor(self.shares, dtype=before.dtype)
        same = torch.nn.functional.one_hot(before.long(), len(self.levels)).bool()
        others = torch.where(same, 0, shares)
        total = others.sum(-1, keepdim=True)
        others = torch.where(total > 0, others / total.clamp_min(1e-12) * (1 - self.stays), others)
        return _categorical(torch.where(same, self.stays, others).log())

    def table(self, outputs: Tensor, before: Tensor) -> dict[str, NDArray[Any]]:
        """Return the likeliest word, and the chance of each."""
        import numpy as np

        name, chances = self.columns[0], outputs.softmax(-1).numpy()
        best = np.array(self.levels, dtype=object)[chances.argmax(axis=1)]
        return {name: best, **{f"p({name}={word})": chances[:, place] for place, word in enumerate(self.levels)}}

    def cells(self, numbers: Tensor) -> dict[str, Cell]:
        """Return the word."""
        return {self.columns[0]: self.levels[int(numbers)]}

    def tally(self, outputs: Tensor, before: Tensor, targets: Tensor, known: Tensor) -> Tensor:
        """Return how many words were predicted rightly, and how many came."""
        import torch

        right = (outputs.argmax(-1, keepdim=True) == targets) & known
        return torch.stack([right.sum(), known.sum()]).double()

    def metrics(self, sums: Tensor) -> list[Metric]:
        """Return the share of words predicted rightly."""
        right, count = sums.tolist()
        return [Metric(f"accuracy of {self.columns[0]}", right / count if count else float("nan"))]


def _categorical(logits: Tensor) -> Law:
    from torch.distributions import Categorical

    return Categorical(logits=logits, validate_args=False)
