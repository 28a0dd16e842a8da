"""Equations of the four lecture notes, as printed and as corrected, with their measurement.

A derivative is measured by automatic differentiation and by central differences, a definition by the value that torch
computes, and a claim by an experiment. From the rest of the library the package imports the errors alone, so that it
checks the library's formulas independently.
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
        note: the note; None for all notes.

    Returns:
        A row for each equation and reading: those of [MR], [Y], [HSK] and [T], in this order.

    Cost: about a second.
    """
    system = random_system(seed)
    with _one_thread():
        return [check(equation, system) for equation in EQUATIONS if note in (None, equation.note)]


@contextmanager
def _one_thread() -> Iterator[None]:
    # Matrices of a few numbers gain nothing from a second thread. On a busy machine, waiting for it can take a hundred
    # times as long as the computation.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
