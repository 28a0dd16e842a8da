"""Equations of the four lecture notes, as printed and as corrected, measured against two references.

This package imports nothing but the errors from the rest of the library, so that it is an independent check of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from throughtime.lecture_notes.base import Equation, Note, Row, check
from throughtime.lecture_notes.hsk import EQUATIONS as HSK_EQUATIONS
from throughtime.lecture_notes.martinez_ramon import EQUATIONS as MR_EQUATIONS
from throughtime.lecture_notes.systems import random_system
from throughtime.lecture_notes.training_rnns import EQUATIONS as T_EQUATIONS
from throughtime.lecture_notes.yuan import EQUATIONS as Y_EQUATIONS

EQUATIONS: tuple[Equation, ...] = MR_EQUATIONS + Y_EQUATIONS + HSK_EQUATIONS + T_EQUATIONS


def verify(seed: int = 0, note: Note | None = None) -> list[Row]:
    """Measure the equations of all notes, or of a single note, on a random network.

    Args:
        seed: the seed of the network.
        note: the note; None for all.

    Returns:
        A row for each equation and reading, in the order of the notes.

    Cost: about a second.
    """
    system = random_system(seed)
    with _one_thread():
        return [check(equation, system) for equation in EQUATIONS if note in (None, equation.note)]


@contextmanager
def _one_thread() -> Iterator[None]:
    # With matrices of a few numbers a second thread only waits, on a busy machine a hundred times longer.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
