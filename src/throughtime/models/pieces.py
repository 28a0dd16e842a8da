"""Inputs and targets in pieces: slices, or chunks of an iterator kept in temporary files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from throughtime.errors import ArgumentError


@dataclass(frozen=True)
class Pieces:
    """Pieces of x and y. Piece i begins at step bounds[i] and ends before bounds[i + 1]."""

    bounds: list[int]
    x: Callable[[int], Tensor]
    y: Callable[[int], Tensor]

    @property
    def steps(self) -> int:
        """T."""
        return self.bounds[-1]

    def share(self, index: int) -> float:
        """Return the share of a piece in all steps."""
        return (self.bounds[index + 1] - self.bounds[index]) / self.steps

    def __len__(self) -> int:
        return len(self.bounds) - 1


def steps_of(x: Any, y: Any) -> int:
    """Validate x and y, which can be sliced, and return T.

    Raises:
        ArgumentError: where they cannot be sliced, are empty, of different lengths, or require a gradient.
    """
    lengths = {}
    for name, values in (("x", x), ("y", y)):
        try:
            lengths[name], first = len(values), tensor_of(values[0:1])
        except (TypeError, KeyError):
            raise ArgumentError(
                name,
                f"is a {type(values).__name__}",
                "it must be a tensor, an array or anything else that has a len and can be sliced by [a:b] in time, or "
                "x an iterator of chunks or of pairs (x, y)",
                "iter(…) makes an iterator",
            ) from None
        check_piece(name, first)
    if lengths["x"] != lengths["y"]:
        raise ArgumentError("x", f"has {lengths['x']} steps, y has {lengths['y']}", "they must have as many")
    return lengths["x"]


def check_piece(name: str, piece: Tensor, where: str = "") -> None:
    """Refuse a piece of x or y without steps or with a gradient.

    Args:
        name: "x" or "y".
        piece: the piece.
        where: the chunk, for the error, such as " in chunk 3".

    Raises:
        ArgumentError: for both.
    """
    if not piece.dim() or not len(piece):
        raise ArgumentError(name, f"has no steps{where}", "it must have at least 1")
    if piece.requires_grad:
        raise ArgumentError(
            name,
            f"requires a gradient{where}",
            "the gradient would be as long as the sequence and is not computed",
            f"pass {name}.detach()",
        )


def tensor_of(values: Any) -> Tensor:
    """Return a tensor as it is; copy an array, so that no file stays mapped."""
    return values if isinstance(values, Tensor) else torch.from_numpy(np.array(values))


def sliced(x: Any, y: Any, steps: int, length: int) -> Pieces:
    """Slice x and y into pieces of `length` steps, the last piece shorter."""
    bounds = [*range(0, steps, length), steps]
    return Pieces(
        bounds,
        lambda index: tensor_of(x[bounds[index] : bounds[index + 1]]),
        lambda index: tensor_of(y[bounds[index] : bounds[index + 1]]),
    )


@contextmanager
def spooled(chunks: Iterator[Any], y: Any) -> Iterator[Pieces]:
    """Read an iterator to its end into temporary files, each chunk as a piece.

    The environment variable TMPDIR names the folder for the files.

    Raises:
        ArgumentError: for two iterators, no chunks, and chunks without steps or of other lengths than y.
    """
    if isinstance(y, Iterator):
        raise ArgumentError(
            "x", "and y are both iterators", "only x may be", "pass pairs (x, y), as zip(x, y) gives them, and no y"
        )
    with TemporaryDirectory(prefix="throughtime-") as folder:

        def place(name: str, index: int) -> Path:
            return Path(folder, f"{name}{index}.pt")

        bounds = [0]
        for index, chunk in enumerate(chunks):
            pieces = _read_chunk(index, chunk, y, bounds[-1])
            for name, piece in pieces.items():
                torch.save(piece.clone(), place(name, index))  # a view would be saved with all that it is a view of
            bounds.append(bounds[-1] + len(pieces["x"]))
        if len(bounds) == 1:
            raise ArgumentError("x", "is an iterator that gave no chunk", "it must give at least 1")
        if y is not None and bounds[-1] != len(y):
            raise ArgumentError("x", f"has {bounds[-1]} steps, y has {len(y)}", "they must have as many")
        yield Pieces(bounds, lambda index: torch.load(place("x", index)), lambda index: torch.load(place("y", index)))


def _read_chunk(index: int, chunk: Any, y: Any, start: int) -> dict[str, Tensor]:
    if y is None and not (isinstance(chunk, tuple | list) and len(chunk) == 2):
        raise ArgumentError(
            "y",
            f"is None and chunk {index} of x is a {type(chunk).__name__}",
            "without y each chunk of x must be a pair (x, y)",
        )
    x_piece = tensor_of(chunk[0] if y is None else chunk)
    y_piece = tensor_of(chunk[1] if y is None else y[start : start + len(x_piece)])
    check_piece("x", x_piece, f" in chunk {index}")
    check_piece("y", y_piece, f" in chunk {index}")
    if len(x_piece) != len(y_piece):
        raise ArgumentError(
            "x", f"has {len(x_piece)} steps in chunk {index}, y has {len(y_piece)}", "they must have as many"
        )
    return {"x": x_piece, "y": y_piece}
