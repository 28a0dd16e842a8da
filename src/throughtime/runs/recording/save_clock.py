"""Times of checkpoints between validations."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

FIRST = 5.0
"""Seconds until the first checkpoint."""

LARGEST_SHARE = 0.02
"""Largest share of the time that goes into checkpoints; where they take long, they are rarer."""


class SaveClock:
    """Clock that tells when a checkpoint is due.

    Args:
        every: seconds between two checkpoints; the first is due after 5 seconds where that is earlier.
    """

    def __init__(self, every: float) -> None:
        self._every = every
        self._due_at = time.monotonic() + min(FIRST, every)

    def due(self) -> bool:
        """Return whether a checkpoint is due now."""
        return time.monotonic() >= self._due_at

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Measure a checkpoint that is written in this context, and count from its end."""
        began = time.monotonic()
        yield
        ended = time.monotonic()
        self._due_at = ended + max(self._every, (ended - began) / LARGEST_SHARE)
