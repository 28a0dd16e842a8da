"""Sums over the events of a stream, and the rows of metrics.csv made from them."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from throughtime.clipping import ClipReport
from throughtime.records import MetricsRow

SHORTEST, MOST = 64, 512
"""Events of a window at first, and the largest number of windows; an even number."""


@dataclass
class Tally:
    """Sums over events: losses of the model and of naive guesses, updates, seconds."""

    events: int = 0
    loss: float = 0.0
    guesses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    updates: int = 0
    norm: float = 0.0
    clipped: int = 0

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


class StreamHistory:
    """Sums over a stream, in windows of equally many events, kept in bounded memory.

    Where more windows are due than are kept, they are joined in pairs, and from then on each has twice as many events.
    All but the seconds follows from the events alone, so that a resumed run has the rows of an uninterrupted one.

    Attributes:
        whole: the sums over the whole run.
    """

    def __init__(self) -> None:
        self.whole = Tally()
        self._every = SHORTEST
        self._windows = [Tally()]
        # Rows of a run of version 0.1.0, and the updates and seconds before its first window here.
        self._earlier: list[MetricsRow] = []
        self._before = (0, 0.0)

    def add(self, loss: float, guesses: tuple[float, ...]) -> None:
        """Count one event."""
        if self._windows[-1].events >= self._every:
            if len(self._windows) == MOST:
                pairs = zip(self._windows[::2], self._windows[1::2], strict=True)
                self._windows = [first.with_next(second) for first, second in pairs]
                self._every *= 2
            self._windows.append(Tally())
        for tally in (self.whole, self._windows[-1]):
            tally.add(loss, guesses)

    def note_update(self, report: ClipReport) -> None:
        """Count one update."""
        for tally in (self.whole, self._windows[-1]):
            tally.note_update(report)

    def pass_time(self, seconds: float) -> None:
        """Add the time since the latest event."""
        for tally in (self.whole, self._windows[-1]):
            tally.seconds += seconds

    def latest(self) -> Tally:
        """Return the sums over the latest window and a short rest behind it."""
        return self._complete()[-1]

    def _complete(self) -> list[Tally]:
        *windows, last = self._windows
        if windows and last.events < self._every // 2:
            windows[-1], last = windows[-1].with_next(last), None
        return windows if last is None else [*windows, last]

    def rows(self, learning_rate: float) -> list[MetricsRow]:
        """Return the rows of metrics.csv."""
        updates, seconds = self._before
        rows = list(self._earlier)
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
        windows = {
            "every": self._every,
            "sums": [asdict(window) for window in self._windows],
            "earlier": [asdict(row) for row in self._earlier],
            "before": list(self._before),
        }
        return {**asdict(self.whole), "windows": windows}

    def load_state_dict(self, state: dict[str, Any], earlier: Iterable[MetricsRow], updates: int) -> None:
        """Take back what `state_dict` returned.

        Args:
            state: the sums; without windows, as in version 0.1.0, the windows begin here.
            earlier: the rows so far, which serve where there are no windows.
            updates: of the learner, likewise.
        """
        windows = state.get("windows")
        self.whole = Tally(**{name: value for name, value in state.items() if name != "windows"})
        if windows is None:
            self._earlier, self._before = list(earlier), (updates, self.whole.seconds)
            return
        self._every = windows["every"]
        self._windows = [Tally(**window) for window in windows["sums"]]
        self._earlier = [MetricsRow(**row) for row in windows["earlier"]]
        self._before = tuple(windows["before"])
