"""Kinds of files by their first bytes."""

import json

SIGNATURES = {
    b"\x93NUMPY": ".npy",
    b"PK\x03\x04": ".npz",
    b"PK\x05\x06": ".npz",
    b"MATLAB ": ".mat",
    b"\x89HDF\r\n\x1a\n": ".mat",
    b"PAR1": ".parquet",
    b"ARROW1": ".feather",
    b"FEA1": ".feather",
    b"\xfd7zXZ\0": "compressed by xz",
    b"BZh": "compressed by bzip2",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"SQLite format 3\0": "an SQLite database",
    b"%PDF": "a PDF",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"RIFF": "sound or video",
    b"\xd0\xcf\x11\xe0": "an old Office document",
    b"\xff\xfe": "text in UTF-16 or UTF-32",
    b"\xfe\xff": "text in UTF-16 or UTF-32",
    b"\0\0\xfe\xff": "text in UTF-32",
}
"""First bytes of kinds of files: the suffix of their format, or the phrase that tells what else they are."""

TEXT = "text"
UNKNOWN = "a binary file of unknown kind"
"""Kind of prose, code and the like."""

UCR = "ucr"
"""Kind of a table of series without a header; its suffix is that of any table."""

_TAGS = {
    ".ts": ("@problemname", "@timestamps", "@univariate", "@classlabel", "@targetlabel"),
    ".tsf": ("@frequency", "@horizon", "@equallength", "@missing"),
    ".arff": ("@relation", "@attribute"),
}
"""Tags of headers; those of a later format may stand in the header of an earlier one too."""

_SAMPLE = 50
"""Lines that are looked at."""


def binary_kind(head: bytes) -> str:
    """Return the suffix or the kind of a file that is no text; "" for text.

    Args:
        head: the first bytes of the file, unfolded.
    """
    for signature, kind in SIGNATURES.items():
        if head.startswith(signature):
            return kind
    if head[:1] == b"\x80" and head[1:2] in b"\2\3\4\5":
        return "a pickle, which can run any code"
    return UNKNOWN if b"\0" in head else ""


def text_kind(head: bytes, suffix: str) -> str:
    """Return the kind of a text by its first lines.

    It is the suffix of a format, `UCR`, `TEXT` or a phrase that tells what else it is.

    Args:
        head: the first bytes of the file, unfolded.
        suffix: the end of the file's name, such as ".csv".
    """
    whole, _, _ = head.rpartition(b"\n")
    lines = [line for line in (whole or head).decode("utf-8-sig", "replace").splitlines() if line.strip()]
    if declared := _declared(lines, suffix):
        return declared
    if suffix in (".jsonl", ".ndjson") or _is_object(lines[:1]):
        return ".jsonl"
    if suffix == ".json":
        return "a JSON document; write an object a line, as .jsonl"
    if suffix in (".tsv", ".tab", ".txt", "") and lines and is_ucr(lines[0]):
        return UCR
    return ".csv" if suffix in (".csv", ".tsv", ".tab") else _table_kind(lines[:_SAMPLE])


def _declared(lines: list[str], suffix: str) -> str:
    """Return the suffix of the format whose header the lines are; "" for none."""
    header = [line for line in lines if not line.startswith(("#", "%"))]
    tags = {line.split()[0].lower() for line in header if line.lstrip().startswith("@")}
    for kind, known in _TAGS.items():
        if header and header[0].lstrip().startswith("@") and tags & set(known):
            return kind
    # A .ts file may be a program; a header may lie behind long comments.
    return suffix if suffix in (".tsf", ".arff") or (suffix == ".ts" and not header) else ""


def _is_object(lines: list[str]) -> bool:
    try:
        return all(isinstance(json.loads(line), dict) for line in lines) and bool(lines)
    except ValueError:
        return False


def is_ucr(line: str) -> bool:
    """Return whether a line holds a class and a series, separated by tabs.

    A class is a whole number. The first line of a table has names of columns in it, or fewer than three fields.
    """
    fields = line.split("\t")
    return len(fields) >= 3 and all(map(_is_number, fields)) and float(fields[0]).is_integer()


def _table_kind(lines: list[str]) -> str:
    """Return ".csv" for lines that look like a table, whatever the suffix; else what they are."""
    if len(lines) < 3:
        return TEXT
    for separator in "\t;,":
        rows = [line.split(separator) for line in lines]
        widths = {len(row) for row in rows}
        # The first row may be names. A row of prose has no column that is a number in all others.
        if len(widths) == 1 and any(all(map(_is_number, column)) for column in zip(*rows[1:], strict=True)):
            return ".csv"
    if all(_is_number(field) for line in lines for field in line.split()):
        return "a table separated by spaces; separate it by commas"
    return TEXT


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
