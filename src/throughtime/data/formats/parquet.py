"""Parquet files, through pyarrow."""

from throughtime.data.extras import extra
from throughtime.data.formats.base import Format, Raw
from throughtime.data.frames import rows_of_arrow_file
from throughtime.data.series import Rows


def read(raw: Raw) -> Rows:
    """Read a Parquet file.

    Raises:
        InputFileError: the file is cut off or damaged, or `rows_of_table` refuses the table.
        UnsupportedError: pyarrow is not installed.
    """
    return rows_of_arrow_file(raw, "Parquet", extra("pyarrow.parquet", "A Parquet file").read_table)


FORMAT = Format("parquet", (".parquet", ".pq"), read, extra=("pyarrow",))
