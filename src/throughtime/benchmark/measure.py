"""Measurement of a case: parity first, then both sides take turns in this process."""

import gc
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from throughtime.benchmark.figures import Measurement, Saved, Timing, Timings
from throughtime.benchmark.grid import Case
from throughtime.benchmark.jax_scan import JaxScan
from throughtime.benchmark.machine import OtherLoad
from throughtime.benchmark.parity import distances
from throughtime.benchmark.sides import PreparedCase, prepare

JAX_TOLERANCE = 1e-3
"""Largest relative distance of jax from the reference, for jax to be timed."""


@dataclass(frozen=True)
class Turns:
    """Number and duration of the turns in which a case is measured.

    Attributes:
        warm_ups: turns that are not counted.
        repetitions, seconds: the least number of turns, and their least duration together.
        cap: the measurement ends after this many seconds if there were three turns.
        product_size: rows and columns of the large matrix product.
        product_pause: seconds of turns between two large products; there are at least three of them.
    """

    warm_ups: int = 3
    repetitions: int = 15
    seconds: float = 1.0
    cap: float = 6.0
    product_size: int = 2048
    product_pause: float = 0.4


FULL = Turns()
BRIEF = Turns(seconds=0.4, cap=1.5)

_FEWEST = 3
"""Least number of turns of a side, and of large products."""


def measure(case: Case, protocol: Turns, scan: JaxScan | None = None) -> Measurement:
    """Measure a case; a case whose parity fails is not timed.

    Args:
        case: the case.
        protocol: how long it is measured.
        scan: jax, which is measured in the grid itself only, on torch.nn's cells; None without jax.
    """
    with threads(case.variant.threads):
        prepared = prepare(case)
        parity, reference = distances(prepared)
        measurement = Measurement(case, torch.get_num_threads(), prepared.tokens, parity)
        if measurement.failures:
            return measurement
        sides: dict[str, Callable[[], object]] = {"ours": prepared.ours}
        if prepared.torch_has_it:
            sides["torch"] = prepared.torch
        if prepared.plain:
            sides["plain"] = prepared.plain
        jax_distance = None
        if scan and prepared.torch_has_it and not case.variant.name:
            turn, jax_distance = scan.prepare(case.cell, prepared.ours, reference)
            if jax_distance <= JAX_TOLERANCE:
                sides["jax"] = turn
        timings = _timings(sides, protocol, prepared.ours.x.dtype)
        return replace(measurement, timings=timings, saved=_saved(prepared), jax_distance=jax_distance)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Use this many threads of torch inside the block; 0: as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _timings(sides: Mapping[str, Callable[[], object]], protocol: Turns, dtype: torch.dtype) -> Timings:
    load = OtherLoad()
    seconds, rate = take_turns(sides, LargeProduct(protocol.product_size, dtype), protocol)
    return Timings(seconds["ours"], seconds.get("torch"), seconds.get("plain"), seconds.get("jax"), rate, load.share())


class LargeProduct:
    """Product of two square matrices, as a measure of the machine's speed.

    Args:
        size: rows and columns.
        dtype: the dtype of the matrices.
    """

    def __init__(self, size: int, dtype: torch.dtype) -> None:
        self.flops = 2.0 * size**3
        self._factors = torch.rand(size, size, dtype=dtype), torch.rand(size, size, dtype=dtype)
        self._product = torch.empty(size, size, dtype=dtype)

    def __call__(self) -> Tensor:
        return torch.mm(*self._factors, out=self._product)


def take_turns(
    sides: Mapping[str, Callable[[], object]], product: LargeProduct, protocol: Turns
) -> tuple[dict[str, Timing], float]:
    """Time the sides in turns, with a large product now and then.

    Every second round runs in reverse order.

    Args:
        sides: name → what a turn of the side runs.
        product: the large product.
        protocol: how many turns there are.

    Returns:
        Seconds of each side, and FLOP/s of the median large product.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    products: list[float] = []
    order, spent, next_product = list(sides), 0.0, 0.0
    with _no_collection():
        product()
        for _ in range(protocol.warm_ups):
            for side in sides.values():
                side()
        while not _enough(len(seconds[order[0]]), spent, protocol):
            if spent >= next_product:
                products.append(_seconds(product))
                next_product = spent + protocol.product_pause
            for name in order:
                seconds[name].append(_seconds(sides[name]))
                spent += seconds[name][-1]
            order.reverse()
        while len(products) < _FEWEST:
            products.append(_seconds(product))
    middle = Timing(tuple(products)).median
    return {name: Timing(tuple(times)) for name, times in seconds.items()}, product.flops / middle


def _enough(turns: int, spent: float, protocol: Turns) -> bool:
    if turns >= _FEWEST and spent >= protocol.cap:
        return True
    return turns >= protocol.repetitions and spent >= protocol.seconds


def _seconds(side: Callable[[], object]) -> float:
    begin = perf_counter()
    kept = side()  # the results are freed after the clock has been read
    end = perf_counter()
    del kept
    return end - begin


@contextmanager
def _no_collection() -> Iterator[None]:
    gc.collect()
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def _saved(prepared: PreparedCase) -> Saved:
    return Saved(saved_bytes(prepared.ours), saved_bytes(prepared.torch) if prepared.torch_has_it else None)


class Side(typing.Protocol):
    """Pass whose forward half can be run alone."""

    @property
    def leaves(self) -> tuple[Tensor, ...]:
        """Inputs of the forward pass."""
        ...

    def forward(self) -> Tensor:
        """Return the output, with its graph."""
        ...


def saved_bytes(side: Side) -> int:
    """Count the bytes that a forward pass keeps for its backward pass, `side.leaves` left out."""
    leaves = {leaf.untyped_storage().data_ptr() for leaf in side.leaves}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in leaves:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        output = side.forward()
    del output
    return sum(kept.values())
