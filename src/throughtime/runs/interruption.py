"""Handle stop signals without loss: a run ends where its state is sound.

Ctrl-C (SIGINT), SIGTERM and the end of the terminal (SIGHUP) are treated alike. A signal that is ignored when the run
begins, as SIGHUP is under nohup, stays ignored.
"""

import signal
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from throughtime.errors import ThroughtimeError

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class InterruptedRunError(ThroughtimeError):
    """Run that was stopped from outside; the message says how to continue."""


class _StopNow(BaseException):
    """Raised by a signal. It is no `Exception`, so that nothing takes it for an error of what it interrupts."""


class StopSignals(ABC):
    """Context in which stop signals are handled.

    Attributes:
        notice: what the error says that a signal raises.
        requested: whether a signal came that is still to be answered; the end of the context answers it.

    Raises:
        InterruptedRunError: at its end, where a signal stopped what was under way.
    """

    def __init__(self, notice: str) -> None:
        self.notice = notice
        self.requested = False
        self._previous: dict[int, object] = {}

    def __enter__(self) -> Self:
        # Python lets only the main thread set signal handlers; elsewhere a run simply cannot be interrupted softly.
        if threading.current_thread() is threading.main_thread():
            heeded = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            self._previous = {number: signal.getsignal(number) for number in heeded}
            self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]
        if kind is _StopNow or (kind is None and self.requested):
            raise InterruptedRunError(self.notice) from None

    def listen(self) -> None:
        """Set the handlers.

        It is done again where another has set its handlers in between, as Lightning does for SIGTERM.
        """
        for number in self._previous:
            signal.signal(number, self._note)

    @abstractmethod
    def _note(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""


class StopAtOnce(StopSignals):
    """Context in which the first stop signal ends what is under way.

    It is for work that leaves nothing to be saved: reading data, or writing a report.
    """

    def _note(self, number: int, frame: FrameType | None) -> None:
        raise _StopNow


class Interruption(StopSignals):
    """Context in which the first stop signal only sets `requested`.

    A second signal stops at once.
    """

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise _StopNow
        self.requested = True


def go_on(folder: Path) -> str:
    """Return how to continue a run."""
    return f"go on with: throughtime train --resume {folder}"


def stopped_at_once(folder: Path) -> str:
    """Return the message of a run that the second signal stopped."""
    return f"Stopped at once; the last checkpoint is kept; {go_on(folder)}"


def stopped_closing(folder: Path) -> str:
    """Return the message of a run that a signal stopped after its training."""
    return f"Interrupted after the training, which is saved, before its report was complete; {go_on(folder)}"
