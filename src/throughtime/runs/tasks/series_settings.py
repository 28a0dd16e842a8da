"""Options of tasks over series."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from throughtime.runs.options import option
from throughtime.runs.settings import TaskSettings


@dataclass(frozen=True)
class SeriesSettings(TaskSettings):
    """Options of tasks over series: what the columns of the file are."""

    format: str = option("", "Format of FILE, such as csv or ts. Default: by its name and content.", online=False)
    layout: str = option("", "For arrays: the order of the axes, such as NTC (series, time, column).", online=False)
    target: str = option("", "Column to predict.", online=False)
    id: str = option("", "Column that tells the series apart.", online=False)
    time: str = option("", "Column of the time of each row.", online=False)
    static: str = option("", "Columns with a single value per series, separated by commas.", online=False)
    ignore: str = option("", "Columns to leave out, separated by commas.", online=False)

    def roles(self) -> Mapping[str, Any]:
        """Return the columns of roles that a task adds, by role."""
        return {}


def names_in(text: str) -> tuple[str, ...]:
    """Return the names of columns in an option, which commas separate."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
