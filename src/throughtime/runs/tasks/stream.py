"""Task `stream`: predict each byte of a stream before reading it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from throughtime.data.counting import Counting
from throughtime.records.plain import from_plain
from throughtime.records.ranges import Consistent, Count, FieldError, Range
from throughtime.runs.settings import RunSettings
from throughtime.runs.tasks.streaming import Event, StreamTask
from throughtime.runs.tasks.symbols import SymbolSettings, SymbolTask

if TYPE_CHECKING:
    from torch import Tensor

    from throughtime.data.text import TextVocabulary
    from throughtime.records import BaselinesOf, Record

ALPHABET = 256


_Byte = Annotated[int, Range(0, ALPHABET - 1)]
_Before = Annotated[int, Range(-1, ALPHABET - 1)]
"""Byte that comes before another; -1 before the first."""


@dataclass(frozen=True)
class _Position(Consistent):
    """Position in a stream, as a checkpoint keeps it: the counts of bytes and of pairs, their number, the last byte."""

    counting: tuple[dict[_Byte, Count], dict[_Before, dict[_Byte, Count]], Count, _Before]
    last: _Before
    taken: Count | None = None

    def check(self) -> None:
        """Raise `FieldError` where the counts are not those of as many bytes as were taken."""
        single, pairs, total, last = self.counting
        for where, came in (
            ("[0]", sum(single.values())),
            ("[1]", sum(count for after in pairs.values() for count in after.values())),
            ("[2]", total if self.taken is None else self.taken),
        ):
            if came != total:
                raise FieldError(f"counts {came:,} bytes", f"the {total:,} that were taken", f".counting{where}")
        if last != self.last:
            raise FieldError(f"is {self.last}", f"{last}, as counted", ".last")


class Stream(SymbolTask, StreamTask):
    """Prediction of the next byte of a file, a growing file or standard input."""

    name: ClassVar[str] = "stream"
    guesses: ClassVar[tuple[str, ...]] = ("uniform", "unigram", "bigram")

    def __init__(self, vocabulary: TextVocabulary, given: SymbolSettings) -> None:
        super().__init__(vocabulary, given)
        self._counting, self._last, self._taken = Counting(), -1, 0

    @classmethod
    def fit(cls, settings: RunSettings) -> Self:
        """Return the task for all 256 bytes."""
        from throughtime.data.text import TextVocabulary

        given = replace(cls._given_in(settings), units="bytes")
        return cls(TextVocabulary("bytes", tuple(range(ALPHABET))), given)

    def settled(self, settings: RunSettings) -> RunSettings:
        """Return the settings with units of bytes and the full path of the file."""
        from throughtime.data.bytestream import STANDARD_INPUT
        from throughtime.data.names import full_path

        file = settings.file if settings.file == STANDARD_INPUT else full_path(settings.file)
        return replace(settings, file=file, task=self.given)

    def open(self, file: str, follow: bool) -> Iterator[bytes]:
        """Return the bytes of a source, from the current position. Standard input goes on with what comes next."""
        from throughtime.data.bytestream import STANDARD_INPUT, ByteStream

        return ByteStream(file, follow, 0 if file == STANDARD_INPUT else self._taken).pieces()

    def example(self) -> Tensor:
        """Return a byte as the model reads it."""
        import torch

        return torch.tensor([0])

    def take(self, raw: int) -> Event | None:
        """Take the next byte; None for the first byte, which nothing precedes."""
        import torch

        before, self._last = self._last, raw
        self._taken += 1
        counted = self._counting.losses(raw)
        if before < 0:
            return None
        return Event(torch.tensor([before]), torch.tensor([raw]), (math.log(ALPHABET), *counted))

    @property
    def taken(self) -> int:
        """Number of bytes read so far."""
        return self._taken

    @property
    def bytes_taken(self) -> int:
        """Number of bytes read so far."""
        return self._taken

    @property
    def worst_guess(self) -> float:
        """Loss of the uniform distribution over bytes, in nats."""
        return math.log(ALPHABET)

    def step_loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return -ln p of a byte, in nats."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(output, target)

    def stream_state(self) -> dict[str, Any]:
        """Return the byte counts, the latest byte and the position."""
        return {"counting": self._counting.state(), "last": self._last, "taken": self._taken}

    def load_stream_state(self, state: dict[str, Any]) -> None:
        """Restore the state that `stream_state` returned.

        Version 0.1.0 kept the number of bytes in its tally, without the first byte. All versions count every byte.

        Raises:
            FieldError: the state is damaged.
        """
        kept = from_plain(_Position, {name: state[name] for name in ("counting", "last", "taken") if name in state})
        self._counting.restore(kept.counting)
        self._last, self._taken = kept.last, kept.counting[2]

    def tally_state(self, state: dict[str, Any]) -> dict[str, Any]:
        """Convert the tally of a version 0.1.0 checkpoint, which named each guess."""
        if "bytes" not in state:
            return state
        kept = {name: value for name, value in state.items() if name not in ("bytes", "single", "pairs")}
        guesses = [state["bytes"] * math.log(ALPHABET), state["single"], state["pairs"]]
        return {**kept, "events": state["bytes"], "guesses": guesses}

    def stream_line(self, read: int, loss: float, baselines: BaselinesOf, rate: float) -> str:
        """Return the line about the latest bytes."""
        from throughtime.records import named

        levels = named(baselines)
        return (
            f"{read:>12,} bytes   {loss:.3f} nats per byte   guess from byte counts {levels['unigram']:.3f}, from "
            f"pair counts {levels['bigram']:.3f}   {rate:,.0f} bytes/s"
        )

    def stream_opening_lines(self, record: Record, run: str, update_every: int) -> list[str]:
        """Return the lines that a run begins with."""
        from throughtime.wording import plural

        source = "standard input" if record.data.file == "-" else record.data.file
        return [
            f"Stream  {source}; each byte is predicted before it is learned, so no data are held out",
            f"Model   {record.model.parameters:,} parameters, "
            f"{record.machine.get('gradient', 'an unknown gradient')}, an update every "
            f"{plural(update_every, 'byte')}",
            f"Run     {run}; Ctrl-C saves and stops; throughtime train --resume {run} continues",
            "",
        ]

    def stream_closing_lines(self, record: Record) -> list[str]:
        """Return the lines that say how well the latest bytes were predicted."""
        from throughtime.report.loss_sentences import OUTCOMES, both
        from throughtime.wording import plural

        results, levels = record.results, record.levels
        ended = OUTCOMES[record.outcome]
        lines = ["", f"Done    {plural(record.data.bytes, 'byte')} in {results.seconds:.0f} s, {ended}"]
        loss = results.last_validation_loss
        if loss is not None:
            better = "better" if loss < levels["bigram"] else "not better"
            lines.append(
                f"Result  {both(loss)} per byte on the latest bytes: {better} than a guess from pair counts "
                f"({levels['bigram']:.3f} nats); from byte counts {levels['unigram']:.3f}, uniform "
                f"{levels['uniform']:.3f}"
            )
        return lines
