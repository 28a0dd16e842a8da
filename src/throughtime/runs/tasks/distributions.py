"""Distributions of the columns of a next step, given the steps before it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from throughtime.runs.tasks.base import Metric

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor
    from torch.distributions import Distribution as Law

    from throughtime.data.columns import Cell, Column


@dataclass(frozen=True)
class Distribution(ABC):
    """Kind of distribution of some columns of the next step.

    The columns are independent given the past. Numbers are as `numbers` codes them: [..., columns]. Those of the step
    before are 0 where one was missing.

    Attributes:
        kind: the name in settings and records.
        columns: the names of the columns, all from the training part.
    """

    kind: ClassVar[str]
    columns: tuple[str, ...]

    def check(self) -> None:
        """Raise `ValueError` where the parts of a recorded distribution do not fit together."""
        for name, values in vars(self).items():
            if isinstance(values, tuple) and len(values) not in (len(self.columns), self.size):
                raise ValueError(f"{name} has {len(values)} entries")
        if not self.columns or len(self.start()) != self.size:
            raise ValueError("the number of columns differs")

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of outputs of the readout."""

    @abstractmethod
    def numbers(self, columns: Mapping[str, Column]) -> NDArray[np.float64]:
        """Return the columns as numbers [steps, columns], NaN where a value is missing.

        Raises:
            InputFileError: a column holds what the distribution gives no chance.
        """

    @abstractmethod
    def start(self) -> list[float]:
        """Return the outputs [size] at which training begins, those that predict the marginal distribution."""

    @abstractmethod
    def law(self, outputs: Tensor, before: Tensor, temperature: float = 1.0) -> Law:
        """Return the distribution of each column [..., columns].

        Args:
            outputs: [..., size] of the readout.
            before: [..., columns] numbers of the step before.
            temperature: below 1 more cautious, above 1 bolder; above 0.
        """

    @abstractmethod
    def marginal(self) -> Law:
        """Return the distribution of each column in the training part, whatever came before."""

    @abstractmethod
    def persistence(self, before: Tensor) -> Law:
        """Return the distribution of each column in the training part, given its value before."""

    @abstractmethod
    def table(self, outputs: Tensor, before: Tensor) -> dict[str, NDArray[Any]]:
        """Return the columns of rows of predictions: name → values [steps], of outputs [steps, size]."""

    @abstractmethod
    def cells(self, numbers: Tensor) -> dict[str, Cell]:
        """Return a step's numbers [columns] as the file has them."""

    @abstractmethod
    def tally(self, outputs: Tensor, before: Tensor, targets: Tensor, known: Tensor) -> Tensor:
        """Return sums over steps, to be added over all chunks and given to `metrics`."""

    @abstractmethod
    def metrics(self, sums: Tensor) -> list[Metric]:
        """Return the metrics beside the loss, from the sums of `tally`."""

    def losses(self, law: Law, targets: Tensor) -> Tensor:
        """Return the negative log-likelihood of targets [..., columns] in nats.

        Numbers are taken in the unit of the file.
        """
        return -law.log_prob(targets)

    def naive_losses(self, before: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return the losses of naive predictions [steps, columns], by name.

        Args:
            before: [steps, columns] numbers of the steps before, NaN where one is missing; the marginal distribution
                stands in there.
            targets: [steps, columns] finite numbers.
        """
        import torch

        marginal = self.losses(self.marginal(), targets)
        kept = self.losses(self.persistence(before.nan_to_num()), targets)
        return {"marginal": marginal, "persistence": torch.where(before.isnan(), marginal, kept)}


def drawn(law: Law, temperature: float, generator: torch.Generator) -> Tensor:
    """Return a draw from a distribution; at temperature 0 what is likeliest."""
    import torch

    if temperature == 0:
        return law.mode
    with torch.random.fork_rng(devices=[]):  # distributions take no generator
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        return law.sample()
