"""Choice of the distributions of a next step, by what the columns hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from throughtime.errors import ArgumentError
from throughtime.runs.tasks.densities import Densities, Normal, StudentT
from throughtime.runs.tasks.distributions import Distribution
from throughtime.runs.tasks.keys import Keys, are_keys
from throughtime.runs.tasks.words import WordsOf

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from throughtime.data.columns import Column
    from throughtime.data.encoding import Encoding

Kind = Literal["auto", "bernoulli", "categorical", "normal", "student-t"]

_HEAVY = 0.02
"""Nats per column by which a Student's t must describe a training part better than a normal distribution."""


def kinds_of(columns: Mapping[str, Column], names: Sequence[str], asked: Kind) -> dict[str, Kind]:
    """Return the kind of distribution of each column, by name.

    Args:
        columns: name → column [steps] of the training part.
        names: those to predict.
        asked: for numbers; "auto" takes columns of 0 and 1 for keys, and leaves others open.

    Raises:
        ArgumentError: a column does not hold what is asked for.
    """
    return {name: _kind_of(name, columns[name], asked) for name in names}


def _kind_of(name: str, column: Column, asked: Kind) -> Kind:
    from throughtime.data.columns import Words

    if isinstance(column, Words):
        return "categorical"
    if asked == "bernoulli" and not are_keys(column):
        raise ArgumentError(
            "distribution", f"is {asked}", f"the column {name} holds other numbers than 0 and 1", "leave it out"
        )
    if asked == "categorical" and not column.whole:
        raise ArgumentError(
            "distribution", f"is {asked}", f"the column {name} holds numbers with decimals", "leave it out"
        )
    return "bernoulli" if asked == "auto" and are_keys(column) else asked


def distributions_of(
    columns: Mapping[str, Column], kinds: Mapping[str, Kind], encoding: Encoding, followed: NDArray[np.bool_]
) -> tuple[list[Distribution], list[str]]:
    """Return the distributions of columns, fitted to a training part, with the reasons in sentences.

    Args:
        columns: name → column [steps].
        kinds: name → kind of each column to predict.
        encoding: how the columns are read.
        followed: True [steps] where the next step is of the same series.
    """
    of_kind = {kind: tuple(name for name in kinds if kinds[name] == kind) for kind in kinds.values()}
    chosen: list[Distribution] = []
    said: list[str] = []
    if keys := of_kind.get("bernoulli"):
        chosen.append(Keys.fit(columns, keys, followed))
        said.append(f"{_named(keys)} 0 and 1 alone: each is 1 with a chance (bernoulli).")
    for name in of_kind.get("categorical", ()):
        words = WordsOf.fit(columns, name, followed)
        chosen.append(words)
        said.append(f"Column {name} holds {words.size} different words, each with a chance (categorical).")
    for kind, names in of_kind.items():
        if kind in ("auto", "normal", "student-t"):
            density, why = _density(kind, columns, names, encoding, followed)
            chosen.append(density)
            said += [f"{_named(names)} numbers, whose distribution is {density.kind}{why}.", *_around(density)]
    return chosen, said


def _density(
    kind: Kind,
    columns: Mapping[str, Column],
    names: tuple[str, ...],
    encoding: Encoding,
    followed: NDArray[np.bool_],
) -> tuple[Densities, str]:
    if kind != "auto":
        return (Normal if kind == "normal" else StudentT).fit(columns, names, encoding, followed), ", as asked for"
    normal = Normal.fit(columns, names, encoding, followed)
    heavy = StudentT.fit(columns, names, encoding, followed)
    gained = (normal.naive_loss - heavy.naive_loss) / len(names)
    if gained > _HEAVY:
        return heavy, f": they have heavy tails, and it fits them better than a normal one by {gained:.2f} nats each"
    return normal, ": they have no heavy tails"


def _around(density: Densities) -> list[str]:
    """Return a sentence on the columns whose change is predicted."""
    names = [name for name, around in zip(density.columns, density.around, strict=True) if around]
    if not names:
        return []
    whose = "the column" if len(names) == 1 else "columns"
    return [f"Of {whose} {few(names)} the change from step to step is predicted, which varies less than the values."]


def _named(names: Sequence[str]) -> str:
    return f"Column {names[0]} holds" if len(names) == 1 else f"Columns {few(names)} hold"


def few(names: Sequence[str]) -> str:
    """Return names in a phrase, the first and the last of many."""
    return ", ".join(names) if len(names) <= 6 else f"{names[0]}, {names[1]} … {names[-1]} ({len(names)})"
