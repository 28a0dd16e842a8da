"""`throughtime verify`: the equations of the four lecture notes, measured."""

import json
import os
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from throughtime.commands._terminal import say
from throughtime.errors import ArgumentError

if TYPE_CHECKING:
    import jsonargparse

    from throughtime.notes import Row

HELP = "Measure every equation of the four lecture notes, as printed and as corrected, against two references."

LARGEST_SEED = 2**63 - 1


def add_arguments(parser: "jsonargparse.ArgumentParser") -> None:
    """Add the options of `throughtime verify` to its parser."""
    parser.add_argument("--note", choices=("mr", "y", "hsk", "t"), help="Only the equations of this note.")
    parser.add_argument("--seed", type=int, default=0, help="Draws the network that is measured.")
    parser.add_argument("--json", metavar="FILE", help="Also write the rows to this file.")
    parser.add_argument("--width", type=int, default=120, help="Columns of the table, at least 110.")


def run(arguments: Any) -> int:
    """Print the table and its summary; return 0 if every verdict is what the measurement shows, else 1.

    Raises:
        ArgumentError: `--seed` or `--width` out of range, or `--json` names a file that cannot be written; the table
            has been printed by then.
    """
    from throughtime.notes import Note, verify
    from throughtime.notes.table import NARROWEST, summary, table

    if not 0 <= arguments.seed <= LARGEST_SEED:
        raise ArgumentError(f"--seed {arguments.seed}: allowed are 0 to {LARGEST_SEED}; the default is 0.")
    if arguments.width < NARROWEST:
        raise ArgumentError(f"--width {arguments.width}: the table needs at least {NARROWEST}; the default is 120.")
    note = None if arguments.note is None else Note[arguments.note.upper()]
    rows = verify(arguments.seed, note)
    say(f"{table(rows, arguments.width)}\n\n{summary(rows)}")
    if arguments.json is not None:
        _write_json(Path(arguments.json), arguments.seed, rows)
    return 0 if all(row.confirmed for row in rows) else 1


def _write_json(path: Path, seed: int, rows: "list[Row]") -> None:
    content = {"seed": seed, "rows": [{name: _plain(value) for name, value in asdict(row).items()} for row in rows]}
    aside = path.with_name(f"{path.name}.partial")
    try:
        aside.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise ArgumentError(
            f"--json {path}: the rows could not be written ({error.strerror}); name a file in a folder that exists "
            "and has room."
        ) from error


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value
