"""Series in the UCR archive's format `.tsv`, a class and a series a line."""

import numpy as np

from throughtime.data.formats.assembly import assemble, without_padding, words_of
from throughtime.data.formats.base import Format, Raw
from throughtime.data.formats.numerals import is_whole, read_number, read_numbers
from throughtime.data.series import SeriesSet
from throughtime.errors import InputFileError
from throughtime.wording import plural


def read_ucr(raw: Raw) -> SeriesSet:
    """Return the series of a `.tsv` file of the UCR archive.

    A class is the word in the first field. Missing values at the ends of series are padding, and are left out.

    Raises:
        InputFileError: the file is damaged; the message names the line.
    """
    tables, classes, whole, first = [], [], True, 0
    for line, text in raw.lines():
        if not text.strip():
            continue
        label, *fields = text.split("\t")
        _check_label(raw, line, label)
        if tables and len(fields) != len(tables[0]):
            raise raw.wrong(
                line,
                f"the line has {plural(len(fields), 'value')} after the class, and line {first} has {len(tables[0])}; "
                "a shorter series ends in NaN",
            )
        if not fields:
            raise raw.wrong(line, "the line has a single field; it must have a class, a tab and the values of a series")
        first = first or line
        tables.append(read_numbers(raw, line, fields, "the series")[:, None])
        classes.append(label.strip())
        whole = whole and is_whole(text.partition("\t")[2])
    if not tables:
        raise InputFileError(f"FILE {raw.path} has no series.")
    series, notes = without_padding(tables)
    return assemble(raw.origin, series, [whole], label=words_of(classes), notes=notes)


def _check_label(raw: Raw, line: int, label: str) -> None:
    if np.isnan(read_number(raw, line, label, "the class in the first field")):
        raise raw.wrong(line, f"the class in the first field is {label.strip()}; it must be a number")


FORMAT = Format("ucr", (), read_ucr)
