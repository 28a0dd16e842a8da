"""Distributions of columns of numbers: normal and Student's t."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from throughtime.errors import InputFileError
from throughtime.runs.tasks.base import Metric
from throughtime.runs.tasks.distributions import Distribution

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor
    from torch.distributions import Distribution as Law

    from throughtime.data.columns import Cell, Column
    from throughtime.data.encoding import Encoding


_LEAST_SCALE = 1e-3
"""Smallest scale of a distribution, in units of the column's spread: values that repeat would have infinite density."""

_LEAST_FREEDOM = 2.0
"""Smallest degrees of freedom of a Student's t, at which its variance just becomes infinite."""

_TRIED_FREEDOM = (2.1, 3.0, 4.0, 6.0, 10.0, 30.0)
_MOST_FITTED = 10_000
"""Numbers of a column that a naive distribution is fitted to; more are thinned out evenly."""


@dataclass(frozen=True)
class Densities(Distribution):
    """Density of each column of numbers.

    It lies around the value before, where that predicts better than the mean.

    Attributes:
        columns: their names.
        means, spreads: [columns] of the training part; numbers are coded as (value - mean) / spread.
        levels: [columns] parameters of the coded numbers' own distribution in the training part.
        changes: [columns] parameters of the distribution of their changes from step to step.
        around: [columns] whether a prediction is the value before plus an output.
        naive_loss: loss of a step of the training part by the better of both distributions of each column, in nats.
    """

    means: tuple[float, ...]
    spreads: tuple[float, ...]
    levels: tuple[tuple[float, ...], ...]
    changes: tuple[tuple[float, ...], ...]
    around: tuple[bool, ...]
    naive_loss: float
    parameters: ClassVar[int]

    @classmethod
    def fit(
        cls, columns: Mapping[str, Column], names: tuple[str, ...], encoding: Encoding, followed: NDArray[np.bool_]
    ) -> Self:
        """Return the scales and naive distributions of a training part.

        Args:
            columns: name → column [steps].
            names: those of numbers.
            encoding: how the columns are read, which has their means and spreads.
            followed: True [steps] where the next step is of the same series.
        """
        scales = {feature.name: feature for feature in encoding.features}
        means = tuple(scales[name].mean for name in names)
        spreads = tuple(scales[name].spread for name in names)
        values = cls(names, means, spreads, (), (), (), 0.0).numbers(columns)
        steps = (values[1:] - values[:-1])[followed[:-1]]
        levels, changes, around, losses = [], [], [], []
        for column in range(len(names)):
            level, level_loss = cls._fitted(values[:, column], centred=False)
            change, change_loss = cls._fitted(steps[:, column], centred=True)
            levels.append(level)
            changes.append(change)
            around.append(change_loss < level_loss)
            losses.append(min(change_loss, level_loss))
        return cls(names, means, spreads, tuple(levels), tuple(changes), tuple(around), sum(losses))

    @classmethod
    @abstractmethod
    def _fit(cls, values: NDArray[np.float64], centred: bool) -> tuple[float, ...]:
        """Return the likeliest parameters of numbers: location, scale and others; a centred location is 0."""

    @staticmethod
    @abstractmethod
    def _law(parameters: Sequence[Tensor]) -> Law: ...

    @classmethod
    def _fitted(cls, values: NDArray[np.float64], *, centred: bool) -> tuple[tuple[float, ...], float]:
        """Return parameters of numbers, and their mean loss."""
        import numpy as np
        import torch

        known = values[~np.isnan(values)]
        known = known[:: -(-len(known) // _MOST_FITTED)] if len(known) else np.zeros(1)
        fitted = cls._fit(known, centred)
        law = cls._law([torch.tensor(parameter, dtype=torch.float64) for parameter in fitted])
        return fitted, float(-law.log_prob(torch.from_numpy(known)).mean())

    @property
    def size(self) -> int:
        """Number of parameters of all columns."""
        return self.parameters * len(self.columns)

    def numbers(self, columns: Mapping[str, Column]) -> NDArray[np.float64]:
        """Return scaled numbers [steps, columns]."""
        import numpy as np

        from throughtime.data.columns import Numbers

        for name in self.columns:
            if not isinstance(columns[name], Numbers):
                raise InputFileError(f"The column {name} holds words; in training it held numbers: give the same kind.")
        values = np.stack([columns[name].values for name in self.columns], axis=1)  # type: ignore[union-attr]
        return (values - np.array(self.means)) / np.array(self.spreads)

    def start(self) -> list[float]:
        """Return the outputs of the better naive distribution of each column."""
        chosen = [
            change if around else level
            for change, level, around in zip(self.changes, self.levels, self.around, strict=True)
        ]
        outputs = [self._outputs(*parameters) for parameters in chosen]
        return [value for parameter in zip(*outputs, strict=True) for value in parameter]

    def law(self, outputs: Tensor, before: Tensor, temperature: float = 1.0) -> Law:
        """Return the density of each scaled number, its scale times the temperature."""
        import torch
        from torch.nn.functional import softplus

        location, width, *others = outputs.unflatten(-1, (self.parameters, -1)).unbind(-2)
        around = torch.tensor(self.around, dtype=outputs.dtype, device=outputs.device)
        scale = (_LEAST_SCALE + softplus(width)) * temperature
        return self._law([location + around * before, scale, *(_LEAST_FREEDOM + softplus(other) for other in others)])

    def marginal(self) -> Law:
        """Return the density of the training part."""
        return self._law(_columns_of(self.levels))

    def persistence(self, before: Tensor) -> Law:
        """Return the density of a change from the value before."""
        location, *others = _columns_of(self.changes)
        return self._law([location + before, *others])

    def losses(self, law: Law, targets: Tensor) -> Tensor:
        """Return the negative log-likelihood in nats, for numbers in the unit of the file."""
        import torch

        return torch.tensor(self.spreads, dtype=targets.dtype, device=targets.device).log() - law.log_prob(targets)

    def table(self, outputs: Tensor, before: Tensor) -> dict[str, NDArray[Any]]:
        """Return location and further parameters of each column, in the unit of the file."""
        law = self.law(outputs, before)
        columns: dict[str, NDArray[Any]] = {}
        for place, (name, mean, spread) in enumerate(zip(self.columns, self.means, self.spreads, strict=True)):
            columns[name] = law.loc[:, place].numpy() * spread + mean  # type: ignore[attr-defined]
            columns[f"scale({name})"] = law.scale[:, place].numpy() * spread  # type: ignore[attr-defined]
            if self.parameters > 2:
                columns[f"freedom({name})"] = law.df[:, place].numpy()  # type: ignore[attr-defined]
        return columns

    def cells(self, numbers: Tensor) -> dict[str, Cell]:
        """Return the numbers in the unit of the file."""
        values = zip(self.columns, numbers.tolist(), self.means, self.spreads, strict=True)
        return {name: number * spread + mean for name, number, mean, spread in values}

    def tally(self, outputs: Tensor, before: Tensor, targets: Tensor, known: Tensor) -> Tensor:
        """Return sums of squared and absolute errors of each column, and their number [3, columns]."""
        import torch

        errors = (self.law(outputs, before).loc - targets) * known  # type: ignore[attr-defined]
        spreads = torch.tensor(self.spreads, dtype=torch.float64)
        sums = (errors.double().square() * spreads**2, errors.double().abs() * spreads, known.double())
        return torch.stack([values.flatten(0, -2).sum(0) for values in sums])

    def metrics(self, sums: Tensor) -> list[Metric]:
        """Return RMSE and MAE of the location of each column."""
        roots, means = (sums[0] / sums[2]).sqrt().tolist(), (sums[1] / sums[2]).tolist()
        return [
            metric
            for name, root, mean in zip(self.columns, roots, means, strict=True)
            for metric in (Metric(f"RMSE of {name}", root), Metric(f"MAE of {name}", mean))
        ]

    @staticmethod
    def _outputs(location: float, scale: float, *others: float) -> list[float]:
        """Return the outputs of parameters, the reverse of `law`."""
        bounds = zip((scale, *others), (_LEAST_SCALE, _LEAST_FREEDOM), strict=False)
        # The reverse of softplus, above 0.
        return [location, *(math.log(math.expm1(max(value - least, 1e-3))) for value, least in bounds)]


@dataclass(frozen=True)
class Normal(Densities):
    """Normal distribution of each column."""

    kind: ClassVar[str] = "normal"
    parameters: ClassVar[int] = 2

    @classmethod
    def _fit(cls, values: NDArray[np.float64], centred: bool) -> tuple[float, ...]:
        location = 0.0 if centred else float(values.mean())
        return location, max(_LEAST_SCALE, float(((values - location) ** 2).mean()) ** 0.5)

    @staticmethod
    def _law(parameters: Sequence[Tensor]) -> Law:
        from torch.distributions import Normal as NormalLaw

        return NormalLaw(*parameters, validate_args=False)


@dataclass(frozen=True)
class StudentT(Densities):
    """Student's t distribution of each column, which has heavier tails than a normal one."""

    kind: ClassVar[str] = "student-t"
    parameters: ClassVar[int] = 3

    @classmethod
    def _fit(cls, values: NDArray[np.float64], centred: bool) -> tuple[float, ...]:
        """Return the best of some degrees of freedom, each with location and scale by expectation maximisation."""
        import torch

        tried = [(*_likeliest_t(values, freedom, centred), freedom) for freedom in _TRIED_FREEDOM]
        of_each = cls._law(
            [torch.tensor(parameter, dtype=torch.float64)[:, None] for parameter in zip(*tried, strict=True)]
        )
        return tried[int(of_each.log_prob(torch.from_numpy(values)).mean(dim=1).argmax())]

    @staticmethod
    def _law(parameters: Sequence[Tensor]) -> Law:
        from torch.distributions import StudentT as StudentLaw

        location, scale, freedom = parameters
        return StudentLaw(freedom, location, scale, validate_args=False)


def _likeliest_t(values: NDArray[np.float64], freedom: float, centred: bool) -> tuple[float, float]:
    """Return location and scale of a Student's t, whose weights take numbers far out for less (Lange et al. 1989)."""
    location, scale = (0.0 if centred else float(values.mean())), max(_LEAST_SCALE, float(values.std()))
    for _ in range(20):
        weights = (freedom + 1) / (freedom + ((values - location) / scale) ** 2)
        location = 0.0 if centred else float((weights * values).sum() / weights.sum())
        scale = max(_LEAST_SCALE, float((weights * (values - location) ** 2).mean()) ** 0.5)
    return location, scale


def _columns_of(parameters: Sequence[Sequence[float]]) -> list[Tensor]:
    """Return each parameter of all columns [columns]."""
    import torch

    return list(torch.tensor(parameters, dtype=torch.float64).unbind(1))
