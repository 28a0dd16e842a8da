"""Task `model`: the next step itself, of rolls, arrays and tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast, get_args

from throughtime.errors import InputFileError
from throughtime.runs.options import check_options
from throughtime.runs.settings import ModelSettings, TaskSettings
from throughtime.runs.tasks.base import Metric
from throughtime.runs.tasks.choosing import Kind, distributions_of, kinds_of
from throughtime.runs.tasks.densities import Densities, Normal, StudentT
from throughtime.runs.tasks.distributions import Distribution
from throughtime.runs.tasks.keys import Keys
from throughtime.runs.tasks.of_series import SeriesTask
from throughtime.runs.tasks.reading import read_columns
from throughtime.runs.tasks.series_settings import DistributionSettings, SeriesSettings, names_in
from throughtime.runs.tasks.words import WordsOf

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from throughtime.data.columns import Column
    from throughtime.data.encoding import Encoding
    from throughtime.data.series import SeriesSet
    from throughtime.data.series_arrays import SeriesArrays
    from throughtime.data.streams import Chunk
    from throughtime.records import BaselinesOf, Record


@dataclass(frozen=True)
class _Part:
    """A distribution, and where it stands.

    Attributes:
        distribution: of some columns.
        outputs: its places among those of the readout.
        targets: its columns among those of the targets.
        before: [columns] the places of its columns among the inputs.
    """

    distribution: Distribution
    outputs: slice
    targets: slice
    before: list[int]


class NextStep(SeriesTask):
    """Prediction of the distribution of the next step, from the steps up to it.

    The first step of a series is not predicted. The loss of a step is the negative log-likelihood in nats, summed over
    the columns; a missing value adds nothing.

    Args:
        encoding: how the columns are read.
        distributions: of the columns that are predicted.
        given: the settings of the task.
    """

    name: ClassVar[str] = "model"
    settings: ClassVar[type[TaskSettings]] = DistributionSettings
    loss_name: ClassVar[str] = "NLL"
    loss_unit: ClassVar[str] = "nats"
    sample_length: ClassVar[int] = 8
    wanted_updates: ClassVar[int] = 250
    least: ClassVar[tuple[int, int]] = 40, 4

    def __init__(self, encoding: Encoding, distributions: Sequence[Distribution], given: DistributionSettings) -> None:
        super().__init__(given)
        self.encoding = encoding
        self.distributions = tuple(distributions)
        self._parts = _parts_of(encoding, self.distributions)

    @classmethod
    def usual(cls, given: Mapping[str, Any], steps: int | None = None) -> Mapping[str, Any]:
        """Return the defaults that did best on piano rolls.

        A wide layer has much dropout, a narrow one little, and larger steps.
        """
        size = given.get("hidden_size", 256)
        dropout, learning_rate = (0.6, 0.02) if size >= 128 else (0.1, 0.03)
        return {
            "cell": "gru",
            "num_layers": 1,
            "hidden_size": size,
            "dropout": dropout,
            "learning_rate": learning_rate,
            "update_every": 256,
        }

    # Data.

    @classmethod
    def fitted(cls, training: SeriesSet, given: SeriesSettings) -> Self:
        """Return the task for the series of the training part."""
        from throughtime.data.encoding import Encoding, Feature

        assert isinstance(given, DistributionSettings)
        given.refuse_distribution(cls.name, get_args(Kind)[1:])
        names, followed = _predicted(training, given), _followed(training)
        kinds = kinds_of(training.columns, names, cast(Kind, given.distribution))
        columns = _with_words(read_columns(training), [name for name in kinds if kinds[name] == "categorical"])
        features = [
            # Keys stay 0 and 1: scaled by its spread, a rare one would outweigh all others.
            Feature(name, gaps=bool(column.missing.any()))
            if kinds.get(name) == "bernoulli"
            else Feature.fit(name, column)
            for name, column in columns.items()
        ]
        encoding = Encoding(tuple(features))
        distributions, said = distributions_of(columns, kinds, encoding, followed)
        task = cls(encoding, distributions, given)
        task.told = said
        return task

    @classmethod
    def from_record(cls, record: Record) -> Self:
        """Return the task of a run, from the facts of its record."""
        from throughtime.data.encoding import Encoding
        from throughtime.records.plain import from_plain

        facts, known = record.facts, {kind.kind: kind for kind in (Keys, WordsOf, Normal, StudentT)}
        given = from_plain(DistributionSettings, facts["settings"])
        check_options(given)
        distributions = [
            from_plain(known[fact["kind"]], {name: value for name, value in fact.items() if name != "kind"})
            for fact in facts["distributions"]
        ]
        for entry in distributions:
            entry.check()
        if not distributions:
            raise ValueError("there are no distributions")
        return cls(from_plain(Encoding, facts["encoding"]), distributions, given)

    def recorded(self, record: Record) -> Record:
        """Add columns and distributions to the record."""
        facts = {
            "settings": asdict(self.given),
            "encoding": asdict(self.encoding),
            "distributions": [{"kind": entry.kind, **asdict(entry)} for entry in self.distributions],
        }
        return replace(record, facts=facts)

    def arrays(self, series: SeriesSet, seed: int | None = None, *, asked: bool = False) -> SeriesArrays:
        """Return each step as input, and the step after it as target.

        Missing values of targets are NaN.

        Args: see `SeriesTask.arrays`. With `asked`, the step after the end of a series counts too.
        """
        import numpy as np

        from throughtime.data.series_arrays import SeriesArrays

        columns = self._columns(series)
        inputs = self.encoding.read(columns, series.steps, None if seed is None else np.random.default_rng(seed))
        width = self._parts[-1].targets.stop
        if asked:
            nothing = np.zeros((series.steps, width), dtype=np.float32)
            return SeriesArrays(inputs, nothing, series.starts, mask=np.ones(series.steps, dtype=np.bool_))
        targets = np.full((series.steps, width), np.nan, dtype=np.float32)
        targets[:-1] = self._numbers(columns)[1:]
        counts = _followed(series) & ~np.isnan(targets).all(axis=1)
        counts[:-1] &= series.scored[1:]
        return SeriesArrays(inputs, targets, series.starts, mask=counts)

    def baselines(self, series: SeriesSet, arrays: SeriesArrays) -> BaselinesOf:
        """Return the losses of the marginal distribution, and of one around the value before."""
        import torch

        assert arrays.mask is not None
        before = torch.from_numpy(self._numbers(self._columns(series))[arrays.mask])
        targets = torch.from_numpy(arrays.targets[arrays.mask]).double()
        total: dict[str, float] = {}
        for part in self._parts:
            of_part = targets[:, part.targets]
            losses = part.distribution.naive_losses(before[:, part.targets], of_part.nan_to_num())
            for name, values in losses.items():
                total[name] = total.get(name, 0.0) + float(values.where(~of_part.isnan(), 0).sum()) / len(targets)
        return dict(sorted(total.items(), key=lambda entry: -entry[1]))

    def _columns(self, series: SeriesSet) -> Mapping[str, Column]:
        """Return the columns of series, with words where the model reads words."""
        return _with_words(read_columns(series), [feature.name for feature in self.encoding.features if feature.levels])

    def _numbers(self, columns: Mapping[str, Column]) -> NDArray[np.float64]:
        import numpy as np

        missing = [name for entry in self.distributions for name in entry.columns if name not in columns]
        if missing:
            raise InputFileError(
                f"The column {missing[0]} is missing, which the model predicts; the columns are {', '.join(columns)}."
            )
        return np.concatenate([entry.numbers(columns) for entry in self.distributions], axis=1)

    # The model.

    def input_size(self, model: ModelSettings) -> int:
        """Return the number of places of all columns."""
        return self.encoding.width

    def readout(self, model: ModelSettings) -> nn.Module:
        """Return the linear layer to the parameters of the distributions.

        Its biases begin at those of naive predictions, from which few updates lead to better ones.
        """
        import torch
        from torch import nn

        layer = nn.Linear(model.hidden_size, self._parts[-1].outputs.stop)
        with torch.no_grad():
            layer.bias.copy_(torch.tensor([value for entry in self.distributions for value in entry.start()]))
        return layer

    def loss(self, outputs: Tensor, chunk: Chunk) -> Tensor:
        """Return the mean loss of the steps that count, summed over the columns."""
        counted, before, targets = _counting(outputs, chunk)
        if not len(targets):
            return (outputs * 0).sum()
        total = outputs.new_zeros(())
        for part in self._parts:
            of_part = targets[:, part.targets]
            law = part.distribution.law(counted[:, part.outputs], before[:, part.before])
            losses = part.distribution.losses(law, of_part.nan_to_num())
            total = total + losses.where(~of_part.isnan(), 0).sum()
        return total / len(targets)

    def count(self, chunk: Chunk) -> int:
        """Return the number of steps that count."""
        return chunk.targets[..., 0].numel() if chunk.mask is None else int(chunk.mask.sum())

    # Predictions.

    def metrics(self, predicted: Iterable[tuple[Tensor, Chunk]]) -> list[Metric]:
        """Return the mean loss, and the metrics of each distribution."""
        total, count = 0.0, 0
        sums: list[Tensor | float] = [0.0] * len(self._parts)
        for outputs, chunk in predicted:
            steps = self.count(chunk)
            total += self.loss(outputs, chunk).item() * steps
            count += steps
            counted, before, targets = _counting(outputs, chunk)
            for place, part in enumerate(self._parts):
                of_part, mine = targets[:, part.targets], counted[:, part.outputs]
                known = ~of_part.isnan()
                sums[place] += part.distribution.tally(mine, before[:, part.before], of_part.nan_to_num(), known)
        if not count:
            raise InputFileError("The data hold no series of two steps or more, so there is no next step to measure.")
        others = [part.distribution.metrics(tally) for part, tally in zip(self._parts, sums, strict=True)]  # type: ignore[arg-type]
        return [Metric(self.loss_name, total / count, "nats per step"), *(metric for more in others for metric in more)]

    def rows(self, outputs: Tensor, chunk: Chunk) -> Iterator[dict[str, Any]]:
        """Yield series and step, with the distribution of the step after, of those that count."""
        counted, before, _ = _counting(outputs, chunk)
        assert chunk.origin is not None
        places = chunk.origin.flatten(0, 1) if chunk.mask is None else chunk.origin[chunk.mask]
        columns: dict[str, list[Any]] = {}
        for part in self._parts:
            table = part.distribution.table(counted[:, part.outputs].double(), before[:, part.before].double())
            columns |= {name: values.tolist() for name, values in table.items()}
        for row, (series, step) in enumerate(places.tolist()):
            yield {"series": series, "step": step, **{name: values[row] for name, values in columns.items()}}

    def samples(
        self, model: nn.Module, prompt: str, length: int, temperature: float, generator: torch.Generator
    ) -> Iterator[str]:
        """Yield the lines of a table: names, the prompt, and rows that are drawn."""
        from throughtime.runs.tasks.drawing import draw

        return draw(self.encoding, self.distributions, model, prompt, length, temperature, generator)

    # Words.

    def columns_line(self) -> str:
        """Return the columns that are read and predicted."""
        from throughtime.runs.tasks.choosing import few

        read = [feature.name for feature in self.encoding.features]
        predicted = [name for entry in self.distributions for name in entry.columns]
        return f"Columns {few(read)} → the next step of {'each' if set(read) == set(predicted) else few(predicted)}"


def _predicted(series: SeriesSet, given: SeriesSettings) -> list[str]:
    """Return the names of the columns to predict: those of `target`, or all with a value per step."""
    names = list(names_in(given.target)) or list(series.columns)
    unknown = [name for name in names if name not in series.columns]
    if unknown or not names:
        raise InputFileError(
            f"{series.origin.name} has no column {unknown[0] if unknown else ''} with a value per step, only "
            f"{', '.join([*series.columns, *series.statics])}: name those to predict in `target`, or none for all."
        )
    if not _followed(series).any():
        raise InputFileError(
            f"{series.origin.name} holds no series of two steps or more to train on, so there is no next step: name "
            "the column that tells series apart in `id`, or give longer series."
        )
    return names


def _followed(series: SeriesSet) -> NDArray[np.bool_]:
    """Return True [steps] where the next step is of the same series."""
    import numpy as np

    followed = np.ones(series.steps, dtype=np.bool_)
    followed[series.starts[1:] - 1] = False
    return followed


def _with_words(columns: Mapping[str, Column], names: Iterable[str]) -> dict[str, Column]:
    """Return the columns, with words in place of the numbers of those that are named."""
    from throughtime.data.columns import as_words

    named = set(names)
    return {name: as_words(column) if name in named else column for name, column in columns.items()}


def _parts_of(encoding: Encoding, distributions: Sequence[Distribution]) -> list[_Part]:
    """Return where each distribution stands."""
    places, place = {}, 0
    for feature in encoding.features:
        places[feature.name] = place
        place += feature.width
    parts, outputs, targets = list[_Part](), 0, 0
    for entry in distributions:
        ends = outputs + entry.size, targets + len(entry.columns)
        # Only numbers are read in a single place each.
        before = [places[name] for name in entry.columns] if isinstance(entry, Densities) else []
        parts.append(_Part(entry, slice(outputs, ends[0]), slice(targets, ends[1]), before))
        outputs, targets = ends
    return parts


def _counting(outputs: Tensor, chunk: Chunk) -> tuple[Tensor, Tensor, Tensor]:
    """Return outputs, inputs and targets [steps, …] of the steps that count."""
    parts = (outputs, chunk.inputs, chunk.targets)
    if chunk.mask is None:
        return tuple(part.flatten(0, 1) for part in parts)  # type: ignore[return-value]
    return tuple(part[chunk.mask] for part in parts)  # type: ignore[return-value]
