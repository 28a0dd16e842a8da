"""Handle Ctrl-C without loss: training stops where the state is sound."""

import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType

from throughtime.errors import ThroughtimeError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class InterruptedRunError(ThroughtimeError):
    """Run that was stopped from outside; the message says how to continue."""


class Interruption:
    """Context in which the first Ctrl-C or SIGTERM only sets `requested`.

    A second signal stops at once.

    Args:
        notice: what the error says that the second signal raises.
    """

    def __init__(self, notice: str) -> None:
        self.requested = False
        self.notice = notice
        self._previous: dict[int, object] = {}

    def __enter__(self) -> "Interruption":
        # Python lets only the main thread set signal handlers; elsewhere a run simply cannot be interrupted softly.
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise InterruptedRunError(self.notice)
        self.requested = True


def stopped_at_once(folder: Path) -> str:
    """Return the message of a run that the second signal stopped."""
    return f"Stopped at once; resume from the last checkpoint with: throughtime train --resume {folder}"
