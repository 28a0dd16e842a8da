"""Bernoulli distribution of columns of 0 and 1, such as piano keys."""

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
class Keys(Distribution):
    """Chance of a 1 in each column of 0 and 1.

    Attributes:
        columns: their names.
        shares: [columns] the share of 1 in the training part.
        after_off, after_on: [columns] the share of 1 after a 0, and after a 1.
    """

    kind: ClassVar[str] = "bernoulli"
    shares: tuple[float, ...]
    after_off: tuple[float, ...]
    after_on: tuple[float, ...]

    @classmethod
    def fit(cls, columns: Mapping[str, Column], names: tuple[str, ...], followed: NDArray[np.bool_]) -> Keys:
        """Return the shares of a training part.

        Args:
            columns: name → column [steps].
            names: those of 0 and 1.
            followed: True [steps] where the next step is of the same series.
        """
        values = cls(names, (), (), ()).numbers(columns)
        before, after = values[:-1][followed[:-1]], values[1:][followed[:-1]]
        return cls(names, _shares(values), _shares(after, before == 0), _shares(after, before == 1))

    @property
    def size(self) -> int:
        """Number of columns."""
        return len(self.columns)

    def numbers(self, columns: Mapping[str, Column]) -> NDArray[np.float64]:
        """Return 0, 1, or NaN [steps, columns]."""
        import numpy as np

        for name in self.columns:
            if not are_keys(columns[name]):
                raise InputFileError(
                    f"The column {name} holds {_stranger(columns[name])}, and the model knows 0 and 1 there alone: "
                    "leave such series out, or train with another `distribution`."
                )
        return np.stack([columns[name].values for name in self.columns], axis=1)  # type: ignore[union-attr]

    def start(self) -> list[float]:
        """Return the logits of the shares."""
        import torch

        return torch.tensor(self.shares).logit().tolist()

    def law(self, outputs: Tensor, before: Tensor, temperature: float = 1.0) -> Law:
        """Return the chance of each key."""
        return _bernoulli(outputs / temperature)

    def marginal(self) -> Law:
        """Return the shares."""
        import torch

        return _bernoulli(torch.tensor(self.shares, dtype=torch.float64).logit())

    def persistence(self, before: Tensor) -> Law:
        """Return the share of each key after a 0 or a 1, whichever came."""
        import torch

        off, on = (torch.tensor(shares, dtype=before.dtype).logit() for shares in (self.after_off, self.after_on))
        return _bernoulli(torch.where(before > 0.5, on, off))

    def table(self, outputs: Tensor, before: Tensor) -> dict[str, NDArray[Any]]:
        """Return the chance of each key."""
        chances = outputs.sigmoid().numpy()
        return {f"p({name})": chances[:, column] for column, name in enumerate(self.columns)}

    def cells(self, numbers: Tensor) -> dict[str, Cell]:
        """Return 0 or 1 for each key."""
        return {name: int(number) for name, number in zip(self.columns, numbers.tolist(), strict=True)}

    def tally(self, outputs: Tensor, before: Tensor, targets: Tensor, known: Tensor) -> Tensor:
        """Return how many keys were on and predicted, predicted alone, and on alone."""
        import torch

        predicted, on = (outputs > 0) & known, (targets > 0.5) & known
        return torch.stack([(predicted & on).sum(), (predicted & ~on).sum(), (~predicted & on).sum()]).double()

    def metrics(self, sums: Tensor) -> list[Metric]:
        """Return the accuracy of frames, right / (right + wrong + missed), and F1."""
        right, wrong, missed = sums.tolist()
        accuracy = right / (right + wrong + missed) if right + wrong + missed else 1.0
        f1 = 2 * right / (2 * right + wrong + missed) if right + wrong + missed else 1.0
        return [Metric("frame accuracy", accuracy), Metric("F1", f1)]


def are_keys(column: Column) -> bool:
    """Return whether a column holds no number but 0 and 1."""
    from throughtime.data.columns import Numbers

    if not isinstance(column, Numbers):
        return False
    return bool(((column.values == 0) | (column.values == 1) | column.missing).all())


def _stranger(column: Column) -> str:
    cells = (column.cell(row) for row in range(len(column)))
    return next(str(cell) for cell in cells if cell is not None and cell not in (0, 1))


def _shares(values: NDArray[np.float64], counted: NDArray[np.bool_] | None = None) -> tuple[float, ...]:
    """Return the share of 1 in each column, never 0 or 1: half of one more of each is counted."""
    import numpy as np

    known = ~np.isnan(values) if counted is None else ~np.isnan(values) & counted
    ones = np.where(known, values, 0).sum(axis=0)
    return tuple(((ones + 0.5) / (known.sum(axis=0) + 1)).tolist())


def _bernoulli(logits: Tensor) -> Law:
    from torch.distributions import Bernoulli

    return Bernoulli(logits=logits, validate_args=False)
