"""Notes: what the user should know of the data that were read."""

from collections.abc import Iterable, Mapping

from throughtime.data.columns import Column
from throughtime.wording import listed, plural

_NAMED = 5
"""Most columns that a note names."""

_SHOWN = 40
"""Most characters of a field that a note shows."""


def named(names: Iterable[str]) -> str:
    """Return a phrase that names the first few, such as "'a', 'b' and 3 more"."""
    names = list(names)
    more = [f"{len(names) - _NAMED:,} more"] if len(names) > _NAMED else []
    return listed([*(repr(name) for name in names[:_NAMED]), *more])


def shortened(text: str) -> str:
    """Return a text in quotation marks, cut off where it is long."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def missing_notes(columns: Mapping[str, Column]) -> list[str]:
    """Return a note on the columns with missing values, if there are any."""
    counts = {name: int(column.missing.sum()) for name, column in columns.items()}
    lacking = [name for name, count in counts.items() if count]
    total = sum(counts.values())
    return [f"{plural(total, 'value')} missing, in {named(lacking)}."] if lacking else []


def were(count: int, noun: str) -> str:
    """Return a count with its noun and verb, such as "2 lines were"."""
    return f"{plural(count, noun)} {'was' if count == 1 else 'were'}"
