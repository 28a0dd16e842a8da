"""Measure the equations of the four lecture notes: `throughtime equations`."""

from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from throughtime.commands._output_files import write_json
from throughtime.commands._terminal import say
from throughtime.errors import ArgumentError

if TYPE_CHECKING:
    import jsonargparse

    from throughtime.lecture_notes import Row

HELP = "Measure the equations of the four lecture notes, as printed and as corrected."

LARGEST_SEED = 2**63 - 1
WIDEST = 10_000
"""Largest width of the table, in characters."""


def add_arguments(parser: "jsonargparse.ArgumentParser") -> None:
    """Declare the options of `throughtime equations`."""
    parser.description = HELP
    parser.add_argument("--note", choices=("mr", "y", "hsk", "t"), help="Measure the equations of this note only.")
    parser.add_argument("--seed", type=int, default=0, help="Random seed of the measured network. (%(default)s)")
    parser.add_argument("--json", metavar="FILE", help="Also write the table to this file, as JSON.")
    parser.add_argument(
        "--width", type=int, default=120, help="Width of the table in characters, at least 110. (%(default)s)"
    )


def run(arguments: Any) -> int:
    """Print the table and its summary.

    Returns:
        0 if the measurement confirms every verdict, else 1.

    Raises:
        ArgumentError: `seed` or `width` is out of range; or the file `json` cannot be written, after the table has
            been printed.
    """
    from throughtime.lecture_notes import Note, verify
    from throughtime.lecture_notes.table import NARROWEST, legend, summary, table

    if not 0 <= arguments.seed <= LARGEST_SEED:
        raise ArgumentError("seed", f"is {arguments.seed}", f"it must be from 0 to {LARGEST_SEED}", "the default is 0")
    if not NARROWEST <= arguments.width <= WIDEST:
        raise ArgumentError(
            "width", f"is {arguments.width}", f"it must be from {NARROWEST} to {WIDEST}", "the default is 120"
        )
    note = None if arguments.note is None else Note[arguments.note.upper()]
    rows = verify(arguments.seed, note)
    say("\n\n".join((legend(arguments.width), table(rows, arguments.width), summary(rows))))
    if arguments.json:
        write_json(_as_json(arguments.seed, rows), Path(arguments.json))
    return 0 if all(row.confirmed for row in rows) else 1


def _as_json(seed: int, rows: "list[Row]") -> dict[str, Any]:
    return {"seed": seed, "rows": [{name: _plain(value) for name, value in asdict(row).items()} for row in rows]}


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value
