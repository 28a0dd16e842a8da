"""Comparison of run folders, measured times aside."""

import csv
import json
import os

import torch

MEASURED = {"seconds", "tokens_per_second"}
"""Names of what a clock says, in every file."""


def contents(folder):
    """All that a run folder holds, file by file, without what a clock says and without the place of folder and data."""
    return {path.name: _content(path, str(folder.parent).encode()) for path in sorted(folder.iterdir())}


def _content(path, place):
    if path.suffix == ".ckpt":
        return _unclocked(torch.load(path, weights_only=True))
    content = path.read_bytes().replace(place, b"PLACE")
    if path.suffix == ".json":
        return _unclocked(json.loads(content))
    if path.name == "metrics.csv":
        return [_unclocked(row) for row in csv.DictReader(content.decode().splitlines())]
    if path.suffix == ".html":  # drawn from the other files alone, with the seconds in between
        return content.endswith(b"</html>\n") or content[-200:]
    return content


def _unclocked(value):
    if isinstance(value, dict):
        return {name: _unclocked(entry) for name, entry in value.items() if name not in MEASURED}
    if isinstance(value, list | tuple):
        return [_unclocked(entry) for entry in value]
    if isinstance(value, torch.Tensor):
        return value.dtype, value.tolist() if torch.isfinite(value.double()).all() else str(value)
    return value


def difference(first, second):
    """What differs between two folders in words; empty where nothing does."""
    one, other = contents(first), contents(second)
    if one.keys() != other.keys():
        return f"files: {sorted(one.keys() ^ other.keys())}"
    return "; ".join(_differences(one, other, ""))


def _differences(one, other, place):
    if type(one) is type(other) is dict and one.keys() == other.keys():
        return [text for name in one for text in _differences(one[name], other[name], f"{place}/{name}")]
    if type(one) is type(other) is list and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [text for i, pair in pairs for text in _differences(*pair, f"{place}/{i}")]
    return [] if one == other else [f"{place}: {str(one)[:80]} and {str(other)[:80]}"]


def names(folder):
    """The names of the files in a folder; none where it is missing."""
    return sorted(os.listdir(folder)) if folder.is_dir() else []
