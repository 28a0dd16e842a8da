"""Series in Weka's format `.arff`, as the UCR and UEA archives write them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from throughtime.data.formats.assembly import assemble, without_padding
from throughtime.data.formats.base import Format, Raw
from throughtime.data.formats.lines import SeriesLine, check_dimensions, classes_of
from throughtime.data.formats.numerals import is_whole, read_numbers
from throughtime.data.series import SeriesSet
from throughtime.errors import InputFileError
from throughtime.wording import plural

_ATTRIBUTE = re.compile(r"""@attribute\s+('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\S+)\s+(.+)""", re.IGNORECASE)
_NUMERIC = ("numeric", "real", "integer")
_FIELD = re.compile(r"""\s*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^,'"]*)\s*(?:,|$)""")
"""Field of a line of data: quoted, or up to the next comma."""


@dataclass
class _Header:
    """What the declarations before @data say."""

    numeric: int = 0
    relational: str = ""
    ended: bool = False
    classes: list[str] | None = None
    notes: list[str] = field(default_factory=list)


def read_arff(raw: Raw) -> SeriesSet:
    """Return the series of an `.arff` file.

    Each line is a series: its numeric attributes are the steps, or its only relational attribute holds a dimension a
    line. The last nominal attribute is the class. Missing steps at the ends are padding, and are left out.

    Raises:
        InputFileError: the file is damaged, or its attributes are no series; the message names the line.
    """
    lines = raw.lines()
    header = _read_header(raw, lines)
    cases: list[SeriesLine] = []
    for line, text in lines:
        if text.strip() and not text.startswith("%"):
            cases.append(_read_case(raw, header, line, text.strip()))
            check_dimensions(raw, cases[0], cases[-1])
    if not cases:
        raise InputFileError(f"FILE {raw.path} has no series after @data.")
    tables, notes = without_padding([case.table for case in cases])
    label = None if header.classes is None else classes_of(raw, cases, header.classes)
    whole = np.all([case.whole for case in cases], axis=0).tolist()
    return assemble(raw.origin, tables, whole, label=label, notes=[*header.notes, *notes])


def _read_header(raw: Raw, lines: Iterator[tuple[int, str]]) -> _Header:
    header = _Header()
    for line, text in lines:
        declared = text.strip()
        word = declared.split(maxsplit=1)[0].lower() if declared else ""
        if word == "@data":
            _check_attributes(raw, line, header)
            return header
        if word == "@end":
            header.ended = True
        elif word == "@attribute":
            _read_attribute(raw, header, line, declared)
        elif word not in ("", "@relation") and not word.startswith("%"):
            raise raw.wrong(line, f"{declared[:40]!r} stands before @data; it must be @relation or @attribute")
    raise InputFileError(f"FILE {raw.path} has no line @data, after which the series of an .arff file stand.")


def _read_attribute(raw: Raw, header: _Header, line: int, declared: str) -> None:
    written = _ATTRIBUTE.fullmatch(declared)
    if written is None:
        raise raw.wrong(line, f"{declared[:60]!r} declares no attribute; it must be @attribute, a name and a type")
    name, kind = written[1], written[2].strip()
    if header.classes is not None:
        raise raw.wrong(line, f"the attribute {name} stands behind the class, which must be the last attribute")
    if kind.lower() in _NUMERIC:
        header.numeric += 1
    elif kind.lower() == "relational" and not header.relational and not header.numeric:
        header.relational = name
    elif kind.startswith("{") and kind.endswith("}"):
        header.classes = [_unquoted(word) for word in _split(kind[1:-1]) or []]
    else:
        raise raw.wrong(
            line,
            f"the attribute {name} is {kind[:40]}; a series has numeric steps and one class in braces at the end: "
            "write a table of another kind as .csv",
        )


def _check_attributes(raw: Raw, line: int, header: _Header) -> None:
    if not header.numeric:
        raise raw.wrong(line, "no numeric attribute stands before @data; the steps of a series are numeric attributes")
    if header.relational and not header.ended:
        raise raw.wrong(line, f"the relational attribute {header.relational} has no @end before @data")


def _split(text: str) -> list[str] | None:
    """Return the fields of a line, quotes and all; None where quotes or commas do not fit together."""
    if "'" not in text and '"' not in text:
        return text.split(",")
    fields, at = [], 0
    while at <= len(text):
        part = _FIELD.match(text, at)
        if part is None:
            return None
        fields.append(part[1])
        if part.end() == len(text) and not part[0].endswith(","):
            return fields
        at = part.end()
    return None


def _unquoted(field: str) -> str:
    text = field.strip()
    if text[:1] not in ("'", '"'):
        return text
    return re.sub(r"\\(['\"\\])", r"\1", text[1:-1])


def _read_case(raw: Raw, header: _Header, line: int, text: str) -> SeriesLine:
    if text.startswith("{"):
        raise raw.wrong(line, "the line is sparse, in braces; write all values of a series")
    fields = _split(text)
    if fields is None:
        raise raw.wrong(line, "the quotes do not fit together; a quoted field ends at its quote, before a comma")
    labelled = header.classes is not None
    expected = (1 if header.relational else header.numeric) + labelled
    if len(fields) != expected:
        raise raw.wrong(line, f"the line has {plural(len(fields), 'field')}, and the header declares {expected}")
    label = _unquoted(fields.pop()) if labelled else ""
    if not header.relational:
        values = read_numbers(raw, line, fields, "the series")
        return SeriesLine(line, values[:, None], [is_whole(text.rpartition(",")[0] if labelled else text)], label)
    return _read_relation(raw, header, line, _unquoted(fields[0]), label)


def _read_relation(raw: Raw, header: _Header, line: int, text: str, label: str) -> SeriesLine:
    # The two characters \n separate the dimensions.
    rows = text.split("\\n")
    columns = [read_numbers(raw, line, row.split(","), f"dimension {d}") for d, row in enumerate(rows, start=1)]
    for d, column in enumerate(columns, start=1):
        if len(column) != header.numeric:
            raise raw.wrong(
                line, f"dimension {d} has {plural(len(column), 'value')}, and the header declares {header.numeric}"
            )
    return SeriesLine(line, np.stack(columns, axis=1), [is_whole(row) for row in rows], label)


FORMAT = Format("arff", (".arff",), read_arff)
