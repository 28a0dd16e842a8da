"""Boundaries between segments: the states of a model and of torch's random generators."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from throughtime.nests import map_tensors, tensors_of


@dataclass(frozen=True)
class Boundary:
    """Start of a segment: a state, and the states of torch's generators.

    Attributes:
        state: the state of the model, a nest of tensors.
        random: the states of torch's generators: see `random_state`.
    """

    state: Any
    random: tuple[Tensor, ...]

    @classmethod
    def here(cls, state: Any) -> "Boundary":
        """Take `state`, detached, with the present states of the generators."""
        return cls(map_tensors(Tensor.detach, state), random_state())

    def copied(self) -> "Boundary":
        """Copy all tensors."""
        return map_tensors(Tensor.clone, self)


class Shelf:
    """Memory for the boundaries that are kept, allocated all at once.

    Copies made one by one would lie between the large tensors of the segments. The next segment's tensors, a little
    larger than the gaps, could then not use the memory that the former ones leave behind.

    Args:
        room: the largest number of boundaries that are kept at a time.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._places: list[Boundary] | None = None

    def put(self, boundary: Boundary) -> Boundary:
        """Copy a boundary into a free place.

        Without a free place, or where the tensors have another form, the copy is in new memory.
        """
        if self._places is None:
            self._places = [boundary.copied() for _ in range(self._room)]
        place = self._places.pop() if self._places else boundary.copied()
        if _forms(place) != _forms(boundary):
            return boundary.copied()
        if _memory(place) & _memory(boundary):  # a model may hand on tensors of a boundary that was just given back
            boundary = boundary.copied()
        copies = iter([mine.copy_(new) for mine, new in zip(tensors_of(place), tensors_of(boundary), strict=True)])
        # The containers, and what in them is no tensor, are those of the new boundary.
        return map_tensors(lambda _: next(copies), boundary)

    def give_back(self, boundary: Boundary) -> None:
        """Free the place of a boundary that is no longer needed."""
        if self._places is not None and len(self._places) < self._room:
            self._places.append(boundary)


def random_state() -> tuple[Tensor, ...]:
    """Read the states of torch's generators, for the CPU and, where in use, CUDA."""
    return (torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else ()))


def set_random_state(random: tuple[Tensor, ...]) -> None:
    """Set torch's generators to states read before."""
    cpu, *cuda = random
    torch.set_rng_state(cpu)
    if cuda:
        torch.cuda.set_rng_state_all(cuda)


def same_random_state(first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> bool:
    """Compare the states of the generators at two times."""
    return len(first) == len(second) and all(map(torch.equal, first, second))


def _memory(boundary: Boundary) -> set[int]:
    """Return the addresses of the memory of all tensors; empty tensors have none."""
    return {tensor.untyped_storage().data_ptr() for tensor in tensors_of(boundary) if tensor.numel()}


def _forms(boundary: Boundary) -> list[tuple[Any, ...]]:
    return [(tensor.shape, tensor.dtype, tensor.device) for tensor in tensors_of(boundary)]
