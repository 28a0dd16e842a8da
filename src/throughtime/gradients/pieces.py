"""Inputs and targets piece by piece: cut from what can be sliced, or read once from an iterator and kept in files."""

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
    """The steps bounds[i] … bounds[i + 1] - 1 of x and y, each read when it is asked for."""

    bounds: list[int]
    x: Callable[[int], Tensor]
    y: Callable[[int], Tensor]

    @property
    def steps(self) -> int:
        """T."""
        return self.bounds[-1]

    def share(self, index: int) -> float:
        """How much of all steps a piece is."""
        return (self.bounds[index + 1] - self.bounds[index]) / self.steps

    def __len__(self) -> int:
        return len(self.bounds) - 1


def steps_of(x: Any, y: Any) -> int:
    """T, where x and y can be sliced.

    Raises:
        ArgumentError: where they cannot, are empty, of different lengths, or to be differentiated.
    """
    lengths = {}
    for name, values in (("x", x), ("y", y)):
        try:
            lengths[name], first = len(values), tensor_of(values[0:1])
        except (TypeError, KeyError):
            raise ArgumentError(
                f"{name} is a {type(values).__name__}; it must be a tensor, an array or anything else that has a len "
                "and can be sliced by [a:b] in time, or x an iterator of chunks or of pairs (x, y): iter(…) makes one"
            ) from None
        check_piece(name, first)
    if lengths["x"] != lengths["y"]:
        raise ArgumentError(f"x has {lengths['x']} steps, y has {lengths['y']}; they must have as many")
    return lengths["x"]


def check_piece(name: str, piece: Tensor) -> None:
    """Raise `ArgumentError` for a piece without steps, or one that requires a gradient."""
    if not piece.dim() or not len(piece):
        raise ArgumentError(f"{name} has no steps; at least one is needed")
    if piece.requires_grad:
        raise ArgumentError(
            f"{name} requires a gradient, which would be as long as the sequence and is not computed: pass "
            f"{name}.detach()"
        )


def tensor_of(values: Any) -> Tensor:
    """A tensor, or a copy of an array's values: of a part of a file nothing stays mapped."""
    return values if isinstance(values, Tensor) else torch.from_numpy(np.array(values))


def sliced(x: Any, y: Any, steps: int, length: int) -> Pieces:
    """Pieces of `length` steps, the last one shorter."""
    bounds = [*range(0, steps, length), steps]
    return Pieces(
        bounds,
        lambda index: tensor_of(x[bounds[index] : bounds[index + 1]]),
        lambda index: tensor_of(y[bounds[index] : bounds[index + 1]]),
    )


@contextmanager
def spooled(chunks: Iterator[Any], y: Any) -> Iterator[Pieces]:
    """The chunks of an iterator, which is read to its end and written to temporary files (TMPDIR says where)."""
    if isinstance(y, Iterator):
        raise ArgumentError("x and y are both iterators; pass one that gives pairs (x, y), zip(x, y), as x and no y")
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
            raise ArgumentError("x is an iterator that gave no chunk; at least one is needed")
        if y is not None and bounds[-1] != len(y):
            raise ArgumentError(f"x has {bounds[-1]} steps, y has {len(y)}; they must have as many")
        yield Pieces(bounds, lambda index: torch.load(place("x", index)), lambda index: torch.load(place("y", index)))


def _read_chunk(index: int, chunk: Any, y: Any, start: int) -> dict[str, Tensor]:
    if y is None and not (isinstance(chunk, tuple | list) and len(chunk) == 2):
        raise ArgumentError(
            f"y is None and chunk {index} of x is a {type(chunk).__name__}; without y it must be a pair (x, y)"
        )
    x_piece = tensor_of(chunk[0] if y is None else chunk)
    y_piece = tensor_of(chunk[1] if y is None else y[start : start + len(x_piece)])
    check_piece(f"chunk {index} of x", x_piece)
    check_piece(f"chunk {index} of y", y_piece)
    if len(x_piece) != len(y_piece):
        raise ArgumentError(
            f"chunk {index} of x has {len(x_piece)} steps, its y has {len(y_piece)}; they must have as many"
        )
    return {"x": x_piece, "y": y_piece}
