"""Feather and Arrow files, through pyarrow."""

from typing import Any

from throughtime.data.extras import extra
from throughtime.data.formats.base import Format, Raw
from throughtime.data.frames import rows_of_arrow_file
from throughtime.data.series import Rows

_MAGIC = (b"ARROW1", b"FEA1")
"""First bytes of files with an index of their parts; Arrow's streams have none."""


def read(raw: Raw) -> Rows:
    """Read a Feather file, or a file or stream of Arrow.

    Raises:
        InputFileError: the file is cut off or damaged, or `rows_of_table` refuses the table.
        UnsupportedError: pyarrow is not installed.
    """
    extra("pyarrow.feather", "A Feather file")
    with raw.open() as handle:
        indexed = handle.read(6).startswith(_MAGIC)
    return rows_of_arrow_file(raw, "Feather", _table if indexed else _stream)


FORMAT = Format("feather", (".feather", ".arrow", ".ipc"), read, extra=("pyarrow",))


def _table(source: Any) -> Any:
    return extra("pyarrow.feather", "A Feather file").read_table(source)


def _stream(source: Any) -> Any:
    with extra("pyarrow.ipc", "A file of Arrow").open_stream(source) as stream:
        return stream.read_all()
