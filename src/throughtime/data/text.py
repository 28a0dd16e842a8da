"""Text as symbol numbers: read a file, number its symbols, decode them."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from throughtime.data.names import check_name
from throughtime.errors import ArgumentError, InputFileError
from throughtime.wording import reason_of

Units = Literal["characters", "bytes"]
Symbols = TypeVar("Symbols", NDArray[np.uint32], NDArray[np.int32])

SHIPPED_TEXT = "pydoc"
"""Word that stands for the text shipped with CPython, its language reference."""

_SIGNATURES = {
    b"PAR1": "Parquet",
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "a zip archive",
    b"\x93NUMPY": "a NumPy array",
    b"MATLAB": "a MATLAB file",
    b"\x89HDF": "HDF5",
    b"%PDF": "PDF",
    b"\x89PNG": "a PNG image",
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
"""First bytes of kinds of files that are taken for text by mistake; a longer signature before one that begins it."""

MARK = "\ufeff"
"""Byte-order mark, as a character. At the start of a text it tells how the text is encoded, and is no part of it."""


@dataclass(frozen=True)
class TextFile:
    """Text file that has been read: name, bytes and SHA-256."""

    name: str
    content: bytes

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the bytes, in hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class TextVocabulary:
    """Symbols that a model knows, in ascending order; a symbol's number is its index.

    Args:
        units: "characters", or "bytes" (then all 256 are known).
        code_points: the symbols as numbers, Unicode code points or byte values.
    """

    units: Units
    code_points: tuple[int, ...]

    @classmethod
    def of(cls, symbols: NDArray[np.uint32], units: Units) -> "TextVocabulary":
        """Return the vocabulary of a text given as code points or bytes."""
        known = range(256) if units == "bytes" else (int(symbol) for symbol in np.unique(symbols))
        return cls(units, tuple(known))

    def __post_init__(self) -> None:
        pairs = zip(self.code_points, self.code_points[1:], strict=False)
        if not self.code_points or any(second <= first for first, second in pairs):
            said = "is empty" if not self.code_points else "is not in ascending order"
            raise ArgumentError("vocabulary", said, "it must be every symbol once, in the order of the code points")
        if self.units == "bytes" and self.code_points[-1] > 255:
            raise ArgumentError("vocabulary", f"holds {self.code_points[-1]}", "as `units` are bytes, at most 255")

    def __len__(self) -> int:
        return len(self.code_points)

    def unknown(self, symbols: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """Return True for each symbol that the vocabulary lacks."""
        return ~np.isin(symbols, np.asarray(self.code_points, dtype=np.uint32))

    def encode(self, symbols: NDArray[np.uint32]) -> NDArray[np.int32]:
        """Return the numbers, shape [symbols], of known symbols.

        Raises:
            ArgumentError: there are unknown symbols; it names the first few.
        """
        unknown = self.unknown(symbols)
        if unknown.any():
            raise ArgumentError("symbols", f"hold {self.describe(symbols[unknown])}", "the model never saw that")
        return np.searchsorted(np.asarray(self.code_points, dtype=np.uint32), symbols).astype(np.int32)

    def decode(self, numbers: Iterable[int]) -> bytes:
        """Return the UTF-8 bytes (for units of bytes: the bytes themselves) of symbol numbers."""
        symbols = [self.code_points[number] for number in numbers]
        return bytes(symbols) if self.units == "bytes" else "".join(map(chr, symbols)).encode("utf-8", "surrogatepass")

    def describe(self, symbols: NDArray[np.uint32], most: int = 5) -> str:
        """Return a phrase that names the first few different symbols, such as "'é' (U+00E9)"."""
        distinct = list(dict.fromkeys(int(symbol) for symbol in symbols))
        names = [f"{chr(symbol)!r} (U+{symbol:04X})" for symbol in distinct[:most]]
        more = f" and {len(distinct) - most} more" if len(distinct) > most else ""
        return ", ".join(names) + more


def read_file(name: str) -> TextFile:
    """Read a text file, or CPython's language reference for the name "pydoc".

    If a file of this name exists, it is read in place of the reference.

    Raises:
        InputFileError: the file is missing, a folder, unreadable or empty.
    """
    check_name(name)
    path = Path(name)
    if name == SHIPPED_TEXT and not path.exists():
        return TextFile(name, shipped_text().encode("utf-8"))
    if path.is_dir():
        raise InputFileError(f"FILE {name} is a folder; give a text file.")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        if name == "-":
            raise InputFileError(
                "FILE is -, standard input, which only a run with `online` reads: name a file, or give `online`."
            ) from None
        raise InputFileError(
            f"FILE {name} does not exist; give a text file, or the word {SHIPPED_TEXT} for Python's language reference."
        ) from None
    except OSError as error:
        raise InputFileError(f"FILE {name} cannot be read: {reason_of(error)}.") from None
    if not content:
        raise InputFileError(f"FILE {name} is empty; give a text file.")
    return TextFile(name, content)


def shipped_text() -> str:
    """Return CPython's language reference, as `help()` shows its topics.

    The topics are joined in the order of their names.
    """
    from pydoc_data.topics import topics

    return "\n".join(topics[name] for name in sorted(topics))


def text_symbols(file: TextFile, units: Units, encoding: str) -> NDArray[np.uint32]:
    """Return the symbols of a file [symbols]: bytes, or code points of characters.

    A byte-order mark at the beginning is no character of the text, and is left out.

    Raises:
        InputFileError: the bytes are not text in this encoding.
        ArgumentError: Python knows no such encoding.
    """
    if units == "bytes":
        return np.frombuffer(file.content, dtype=np.uint8).astype(np.uint32)
    cure = "give another `encoding`, or read it as it is with `units` bytes"
    check_encoding(encoding)
    try:
        text = file.content.decode(encoding).removeprefix(MARK)
    except UnicodeError as error:
        if kind := _kind_of(file.content):
            wide = kind.startswith("UTF-")
            cure = f"give `encoding` {kind.lower()}" if wide else "give a text file, or read the `units` bytes"
            raise InputFileError(f"FILE {file.name} is not text in {encoding}, but {kind}: {cure}.") from None
        at = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        raise InputFileError(f"FILE {file.name} is not text in {encoding}{at}: {cure}.") from None
    if "\0" in text:
        raise InputFileError(f"FILE {file.name} holds NUL characters, so it is not text in {encoding}: {cure}.")
    return characters(text)


def check_encoding(encoding: str) -> None:
    """Raise `ArgumentError` unless Python knows a text encoding of this name."""
    try:
        "".encode(encoding)
    except (LookupError, ValueError):  # a ValueError for a name with a NUL character
        name = encoding if encoding.isprintable() else ascii(encoding)
        raise ArgumentError("encoding", f"is {name}", "Python must know it", "give utf-8 or latin-1") from None


def begins_with_mark(file: TextFile, units: Units, encoding: str) -> bool:
    """Return whether `text_symbols` leaves out a byte-order mark at the beginning of a file."""
    return units != "bytes" and file.content[:4].decode(encoding, "ignore").startswith(MARK)


def _kind_of(content: bytes) -> str:
    """Return the kind of a file that begins with a known signature, such as "gzip"; "" for any other."""
    return next((kind for signature, kind in _SIGNATURES.items() if content.startswith(signature)), "")


def characters(text: str) -> NDArray[np.uint32]:
    """Return the code points of a text, shape [characters]."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint32)


def split(symbols: Symbols, validation: float) -> tuple[Symbols, Symbols]:
    """Split a text into a training part and a held-out part at the end.

    Args:
        symbols: the text, code points or symbol numbers, shape [symbols].
        validation: the share of the held-out part, between 0 and 1.

    Raises:
        InputFileError: a part would hold fewer than two symbols, so that nothing could be predicted in it.
    """
    held_out = round(len(symbols) * validation)
    if min(held_out, len(symbols) - held_out) < 2:
        raise InputFileError(
            f"The text is too short: of its {len(symbols)} symbols, `validation` {validation:g} holds out {held_out}, "
            "and both parts need at least 2; give a longer text."
        )
    return symbols[: len(symbols) - held_out], symbols[len(symbols) - held_out :]
