"""Roles of arrays by their names."""

import re
from dataclasses import dataclass

_ROLES = {
    "x": ("", "x", "data", "input", "inputs", "value", "values", "series", "sequence", "sequences", "features"),
    "y": ("y", "label", "labels", "target", "targets", "class", "classes"),
    "lengths": ("length", "lengths"),
    "starts": ("start", "starts"),
    "ids": ("id", "ids"),
}
PARTS = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "val"),
    "test": ("test", "testing"),
}
"""Parts of a data set, and the words that name them."""

_PART_OF = {word: part for part, words in PARTS.items() for word in words}
# A longer word before one that begins it: "training" before "train".
_WORD = "|".join(sorted(_PART_OF, key=len, reverse=True))
_BEFORE, _AFTER = re.compile(rf"({_WORD})[ _-]?(.*)"), re.compile(rf"(.*?)[ _-]?({_WORD})")


@dataclass(frozen=True)
class ArrayRole:
    """Role of an array.

    Attributes:
        role: "x" for the steps, "y" for labels, "lengths", "starts" or "ids"; "" where the name tells none.
        part: "train", "valid" or "test"; "" where the name tells none.
    """

    role: str
    part: str


def role_of(name: str) -> ArrayRole:
    """Return the role of an array by its name, such as "labels", "XTest" or "traindata"."""
    text = name.lower()
    before, after = _BEFORE.fullmatch(text), _AFTER.fullmatch(text)
    for rest, word in ([before.group(2, 1)] if before else []) + ([after.group(1, 2)] if after else []):
        if role := _role(rest):
            return ArrayRole(role, _PART_OF[word])
    return ArrayRole(_role(text) if text else "", "")


def part_of(stem: str) -> str:
    """Return the part that a file's name ends in, such as "train" for "X_TRAIN".

    Args:
        stem: the name without its suffix.

    Returns:
        "train", "valid" or "test"; "" for any other name.
    """
    written = _AFTER.fullmatch(stem.lower())
    # A name such as "latest" ends in the word without a mark before it.
    marked = written is not None and (not written[1] or stem[len(written[1])] in " _-")
    return _PART_OF[written[2]] if written and marked else ""


def _role(word: str) -> str:
    return next((role for role, words in _ROLES.items() if word in words), "")
