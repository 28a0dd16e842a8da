"""Sums over the events of a stream, and the rows of metrics.csv made from them."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from throughtime.clipping import ClipReport
from throughtime.records import MetricsRow
from throughtime.records.plain import from_plain, to_plain
from throughtime.records.ranges import Consistent, Count, FieldError, NotNegative, Size

SHORTEST, MOST = 64, 512
"""Events of a window at first, and the largest number of windows; an even number."""


@dataclass
class Tally:
    """Sums over events: losses of the model and of naive guesses, updates, seconds."""

    events: Count = 0
    loss: float = 0.0
    guesses: list[float] = field(default_factory=list)
    seconds: NotNegative = 0.0
    updates: Count = 0
    norm: NotNegative = 0.0
    clipped: Count = 0

    def note_update(self, report: ClipReport) -> None:
        """Count one update."""
        self.updates += 1
        self.norm += report.total_norm
        self.clipped += report.clipped

    def add(self, loss: float, guesses: Iterable[float]) -> None:
        """Count one event."""
        self.events += 1
        self.loss += loss
        self._add_guesses(guesses)

    def with_next(self, other: "Tally") -> "Tally":
        """Return the sums over both."""
        names = ("events", "loss", "seconds", "updates", "norm", "clipped")
        both = Tally(**{name: getattr(self, name) + getattr(other, name) for name in names})
        both._add_guesses(self.guesses)
        both._add_guesses(other.guesses)
        return both

    def _add_guesses(self, guesses: Iterable[float]) -> None:
        losses = list(guesses)
        before = self.guesses or [0.0] * len(losses)
        self.guesses = [total + guess for total, guess in zip(before, losses or [0.0] * len(before), strict=True)]

    def mean(self) -> tuple[float, list[float]]:
        """Return the mean loss of the model and the mean losses of the guesses."""
        events = max(1, self.events)
        return self.loss / events, [total / events for total in self.guesses]


@dataclass
class Windows(Consistent):
    """Sums over parts of a stream, as a checkpoint holds them.

    Attributes:
        every: the number of events of a window.
        sums: the windows in order; the last may have fewer events.
        earlier, before: the rows of a run of version 0.1.0, and the updates and seconds before its first window here.
    """

    every: Size = SHORTEST
    sums: list[Tally] = field(default_factory=lambda: [Tally()])
    earlier: list[MetricsRow] = field(default_factory=list)
    before: tuple[Count, NotNegative] = (0, 0.0)

    def check(self) -> None:
        if not 1 <= len(self.sums) <= MOST:
            raise FieldError(f"has {len(self.sums)} entries", f"a list of 1 to {MOST}", ".sums")
        for index, window in enumerate(self.sums):
            if window.events > self.every:
                raise FieldError(f"is {window.events}", f"at most {self.every}", f".sums[{index}].events")


@dataclass
class HistoryOfStream(Tally):
    """Sums over a whole stream with its windows, as a checkpoint holds them.

    Version 0.1.0 wrote no windows.
    """

    windows: Windows | None = None

    def tallies(self, path: str) -> dict[str, Tally]:
        """Return the sums of the stream and of its windows, by place in the file."""
        windows = self.windows.sums if self.windows else ()
        return {path: self, **{f"{path}.windows.sums[{i}]": window for i, window in enumerate(windows)}}


class StreamHistory:
    """Sums over a stream, in windows of equally many events, kept in bounded memory.

    Where more windows are due than are kept, they are joined in pairs, and from then on each has twice as many events.
    All but the seconds follows from the events alone, so that a resumed run has the rows of an uninterrupted one.

    Attributes:
        whole: the sums over the whole run.
    """

    def __init__(self) -> None:
        self.whole = Tally()
        self._kept = Windows()

    def add(self, loss: float, guesses: tuple[float, ...]) -> None:
        """Count one event."""
        if self._kept.sums[-1].events >= self._kept.every:
            if len(self._kept.sums) == MOST:
                pairs = zip(self._kept.sums[::2], self._kept.sums[1::2], strict=True)
                self._kept.sums = [first.with_next(second) for first, second in pairs]
                self._kept.every *= 2
            self._kept.sums.append(Tally())
        for tally in (self.whole, self._kept.sums[-1]):
            tally.add(loss, guesses)

    def note_update(self, report: ClipReport) -> None:
        """Count one update."""
        for tally in (self.whole, self._kept.sums[-1]):
            tally.note_update(report)

    def pass_time(self, seconds: float) -> None:
        """Add the time since the latest event."""
        for tally in (self.whole, self._kept.sums[-1]):
            tally.seconds += seconds

    def latest(self) -> Tally:
        """Return the sums over the latest window and a short rest behind it."""
        return self._complete()[-1]

    def _complete(self) -> list[Tally]:
        *windows, last = self._kept.sums
        if windows and last.events < self._kept.every // 2:
            windows[-1], last = windows[-1].with_next(last), None
        return windows if last is None else [*windows, last]

    def rows(self, learning_rate: float) -> list[MetricsRow]:
        """Return the rows of metrics.csv."""
        updates, seconds = self._kept.before
        rows = list(self._kept.earlier)
        for window in self._complete():
            updates, seconds = updates + window.updates, seconds + window.seconds
            if not window.events:
                continue
            loss, _ = window.mean()
            rows.append(
                MetricsRow(
                    update=updates,
                    epoch=0.0,
                    train_loss=loss,
                    validation_loss=loss,
                    learning_rate=learning_rate,
                    gradient_norm=window.norm / max(1, window.updates),
                    clipped=window.clipped / max(1, window.updates),
                    tokens_per_second=window.events / max(window.seconds, 1e-9),
                    seconds=seconds,
                )
            )
        return rows

    def state_dict(self) -> dict[str, Any]:
        """Return plain values for the checkpoint."""
        return {**to_plain(self.whole), "windows": to_plain(self._kept)}

    def load_state_dict(self, state: dict[str, Any], earlier: Iterable[MetricsRow], updates: int) -> None:
        """Take back what `state_dict` returned.

        Args:
            state: the sums; without windows, as in version 0.1.0, the windows begin here.
            earlier: the rows so far, which serve where there are no windows.
            updates: of the learner, likewise.
        """
        kept = from_plain(HistoryOfStream, state)
        self.whole = Tally(**{entry.name: getattr(kept, entry.name) for entry in fields(Tally)})
        self._kept = kept.windows or Windows(earlier=list(earlier), before=(updates, self.whole.seconds))
