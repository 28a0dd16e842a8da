"""Tasks of the next symbol, shared by texts and streams of bytes."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from throughtime.errors import ArgumentError, InputFileError
from throughtime.runs.options import check_options, option
from throughtime.runs.settings import ModelSettings, RunSettings, TaskSettings
from throughtime.runs.tasks.base import Data, Metric, Task
from throughtime.wording import listed

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from throughtime.data.guesses import PairCounts
    from throughtime.data.streams import Chunk
    from throughtime.data.text import TextFile, TextVocabulary
    from throughtime.records import BaselinesOf, Record


@dataclass(frozen=True)
class SymbolSettings(TaskSettings):
    """Options of tasks that predict symbols."""

    units: Literal["characters", "bytes"] = option("characters", "Symbols that the model reads and predicts.")
    encoding: str = option("utf-8", "Text encoding of the file.", online=False)
    embedding_size: int = option(0, "Size of the embedding vectors of symbols; 0: same as `hidden_size`.", least=0)


class SymbolTask(Task, ABC):
    """Prediction of the next symbol: embedding, linear readout, cross-entropy in nats.

    Args:
        vocabulary: the symbols that the model knows.
        given: the settings of the task.

    Attributes:
        marked: whether the text that it was fitted to began with a byte-order mark, which was left out.
        counts: of the training part, from which naive guesses are made; None in runs of earlier versions, whose guesses
            are counted on the text that is asked for itself.
    """

    settings: ClassVar[type[TaskSettings]] = SymbolSettings
    loss_name: ClassVar[str] = "cross-entropy"
    loss_unit: ClassVar[str] = "nats"

    def __init__(self, vocabulary: TextVocabulary, given: SymbolSettings) -> None:
        self.vocabulary = vocabulary
        self.given = given
        self.marked = False
        self.counts: PairCounts | None = None

    @staticmethod
    def _given_in(settings: RunSettings) -> SymbolSettings:
        """Return the task's settings; a plain `TaskSettings()` stands for their defaults."""
        return settings.task if isinstance(settings.task, SymbolSettings) else SymbolSettings()

    @property
    def unit(self) -> str:
        """Unit of prediction: "character" or "byte"."""
        return self.vocabulary.units.removesuffix("s")

    @classmethod
    def from_record(cls, record: Record) -> Self:
        """Return the task with the vocabulary of a run.

        Raises:
            ArgumentError: units, vocabulary, encoding or baselines are none, or are not those of the recorded settings.
        """
        from throughtime.data.guesses import PairCounts
        from throughtime.data.text import TextVocabulary, check_encoding
        from throughtime.records import Baselines

        if not isinstance(record.baselines, Baselines):
            raise ArgumentError("baselines", f"has {listed(record.levels)}", "it must have uniform, unigram and bigram")

        given = SymbolSettings(record.data.units, record.data.encoding, record.model.embedding_size)  # type: ignore[arg-type]
        check_options(given)
        for name, value in asdict(given).items():
            if value != record.settings.get(name, value):
                raise ArgumentError(name, f"is {value}", f"the settings of the run say {record.settings[name]}")
        if given.units == "characters":
            check_encoding(given.encoding)
        task = cls(TextVocabulary(given.units, tuple(map(ord, record.data.vocabulary))), given)
        if record.facts:
            task.counts = PairCounts.from_plain(record.facts["counts"], len(task.vocabulary))
        return task

    def recorded(self, record: Record) -> Record:
        """Add vocabulary, encoding, embedding size and the counts of guesses to the record."""
        data = replace(
            record.data,
            units=self.vocabulary.units,
            encoding=self.given.encoding,
            vocabulary="".join(map(chr, self.vocabulary.code_points)),
        )
        model = replace(record.model, embedding_size=self.given.embedding_size)
        facts = {} if self.counts is None else {"counts": self.counts.to_plain()}
        return replace(record, data=data, model=model, facts=facts)

    def input_size(self, model: ModelSettings) -> int:
        """Return the size of the embedding."""
        return self.given.embedding_size or model.hidden_size

    def entry(self, model: ModelSettings) -> tuple[str, nn.Module]:
        """Return the embedding of symbol numbers [time, batch]."""
        from torch import nn

        return "embedding", nn.Embedding(len(self.vocabulary), self.input_size(model))

    def readout(self, model: ModelSettings) -> nn.Module:
        """Return the linear layer to logits [time, batch, vocabulary] of the next symbol."""
        from torch import nn

        return nn.Linear(model.hidden_size, len(self.vocabulary))

    def loss(self, outputs: Tensor, chunk: Chunk) -> Tensor:
        """Return the mean cross-entropy in nats per symbol."""
        from throughtime.losses import cross_entropy

        return cross_entropy(outputs, chunk.targets, mask=chunk.mask)

    def rows(self, outputs: Tensor, chunk: Chunk) -> Iterator[dict[str, int | float | str]]:
        """Yield step, stream, symbol and loss in nats of each target."""
        from torch.nn.functional import cross_entropy

        costs = cross_entropy(outputs.movedim(-1, 1), chunk.targets, reduction="none").tolist()
        for step, numbers in enumerate(chunk.targets.tolist()):
            for stream, number in enumerate(numbers):
                if chunk.mask is None or chunk.mask[step, stream]:
                    symbol = self.vocabulary.decode([number]).decode("utf-8", "backslashreplace")
                    yield {"step": step, "stream": stream, self.unit: symbol, "nats": costs[step][stream]}

    def samples(
        self, model: nn.Module, prompt: str, length: int, temperature: float, generator: torch.Generator
    ) -> Iterator[str]:
        """Yield the prompt and the text that the model writes, in pieces."""
        from throughtime.runs.tasks.sampling import encode_prompt, sample, written

        numbers = sample(model, encode_prompt(self.vocabulary, prompt), length, temperature, generator)
        return written(self.vocabulary, prompt, numbers)

    def read_known(
        self, name: str, skip_unknown: bool = False, cure: str = "`skip_unknown` leaves them out"
    ) -> tuple[TextFile, NDArray[np.int32], int]:
        """Read a text for a model that has been trained.

        Args:
            name: the file.
            skip_unknown: leave out symbols that the model never saw.
            cure: what an error says to do about them.

        Returns:
            The file, the numbers of its symbols, and how many symbols were left out.

        Raises:
            InputFileError: the file cannot be read, or holds symbols that the model never saw, without `skip_unknown`.
        """
        from throughtime.data.text import read_file, text_symbols
        from throughtime.wording import plural

        file = read_file(name)
        symbols = text_symbols(file, self.vocabulary.units, self.given.encoding)
        unknown = self.vocabulary.unknown(symbols)
        if unknown.any() and not skip_unknown:
            raise InputFileError(
                f"FILE {file.name} holds {plural(int(unknown.sum()), self.unit)} that the model never saw in training: "
                f"{self.vocabulary.describe(symbols[unknown])}; {cure}."
            )
        return file, self.vocabulary.encode(symbols[~unknown]), int(unknown.sum())

    def read(
        self, file: str, *, skip_unknown: bool = False, held_out_of: RunSettings | None = None, part: str = ""
    ) -> Data:
        """Read a text for a model that has been trained; see `Task.read`."""
        from throughtime.data.text import begins_with_mark, split
        from throughtime.wording import plural

        if part:
            raise ArgumentError("part", f"is {part!r}", "a text has no parts", "leave it out")
        text, codes, unknown = self.read_known(file, skip_unknown)
        if held_out_of is not None:
            codes = split(codes, held_out_of.data.validation)[1]
        if len(codes) < 2:
            raise InputFileError(
                f"FILE {text.name} is too short: it has {plural(len(codes), f'known {self.unit}')}, and it takes 2 to "
                "predict one; give a longer file."
            )
        left_out = f", {plural(unknown, f'unknown {self.unit}')} left out" if unknown else ""
        if begins_with_mark(text, self.vocabulary.units, self.given.encoding):
            left_out += ", without the byte-order mark before them"
        data = self.data(text, codes)
        first = f"Text    {text.name}: {plural(len(codes), self.unit)}{left_out}"
        return replace(data, lines=[first, *self.baseline_lines(data.baselines)])

    def data(self, file: TextFile, codes: NDArray[np.int32]) -> Data:
        """Return the data of a text.

        Args:
            file: where the symbols come from.
            codes: symbol numbers [symbols], at least two: the whole file or a part of it.
        """
        import math
        from functools import partial

        from throughtime.data.guesses import PairCounts
        from throughtime.data.streams import held_out_streams, windows
        from throughtime.records import Baselines

        size = len(self.vocabulary)
        unigram, bigram = (self.counts or PairCounts.of(codes, size)).losses(codes)
        baselines = Baselines(math.log(size), unigram, bigram)
        streams = held_out_streams(codes)
        return Data(file.name, file.sha256, len(file.content), streams, partial(windows, codes), baselines)

    def examined(self, predicted: Iterable[tuple[Tensor, Chunk]], names: Sequence[Any] = ()) -> None:
        """Return nothing: a validation has measured the loss, and there is no other metric."""

    def said(self, loss: float) -> str:
        """Return a loss in nats and in bits."""
        from throughtime.report.loss_sentences import both

        return both(loss)

    def said_in_bar(self, loss: float) -> str:
        """Return a loss in nats and bits, short enough for the bar."""
        from throughtime.report.loss_sentences import bits

        return f"{loss:.3f} nats = {bits(loss):.3f} bits/{'char' if self.unit == 'character' else self.unit}"

    def said_beside(self, baselines: BaselinesOf) -> str:
        """Return the losses of the bigram and unigram guesses."""
        from throughtime.records import named

        levels = named(baselines)
        return f"bigram {levels['bigram']:.3f}  unigram {levels['unigram']:.3f}"

    def opening_lines(self, record: Record) -> list[str]:
        """Return lines on the text and on guesses without a memory."""
        from throughtime.wording import plural

        data = record.data
        mark = ", without the byte-order mark before it" if self.marked else ""
        return [
            f"Text    {data.file}: {data.bytes:,} bytes, read as text, {self.unit} by {self.unit}{mark}",
            f"        vocabulary of {plural(len(data.vocabulary), self.unit)}; {data.training_symbols:,} to train on, "
            f"{data.held_out_symbols:,} held out for validation",
            *self.baseline_lines(record.baselines),
        ]

    def baseline_lines(self, baselines: BaselinesOf) -> list[str]:
        """Return lines on the losses of guesses without a memory."""
        from throughtime.records import named
        from throughtime.report.loss_sentences import both

        levels = named(baselines)
        rows = [
            ("from frequencies alone (unigram)", levels["unigram"]),
            (f"from the last {self.unit} alone (bigram)", levels["bigram"]),
        ]
        heads = ["Guess   ", "        "]
        return [f"{head}{name:<52}{both(loss)} per {self.unit}" for head, (name, loss) in zip(heads, rows, strict=True)]

    def result_lines(self, metrics: Sequence[Metric], baselines: BaselinesOf) -> list[str]:
        """Return lines on a loss: distance from the nearer guess, and the conclusion."""
        from throughtime.report.loss_sentences import verdict_parts

        figures, meaning = verdict_parts(metrics[0].value, baselines, self.vocabulary.units)
        return [f"Result  {figures}:", f"        {meaning}."]
