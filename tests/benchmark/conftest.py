"""Measurements made by hand, and a protocol that takes no time."""

import pytest

from throughtime.benchmark.figures import Distance, Measurement, Saved, Timing, Timings
from throughtime.benchmark.grid import GRID_ITSELF, Case, Shape
from throughtime.benchmark.measure import Turns


@pytest.fixture
def brief():
    """Three turns and a small product."""
    return Turns(warm_ups=1, repetitions=3, seconds=0.0, cap=0.0, product_size=32)


@pytest.fixture
def measured():
    """Make a measurement: ours 2 ms, a product rate of 1e9 FLOP/s, anything else as given."""

    def make(cell="rnn", shape=(1, 32, 100), variant=GRID_ITSELF, threads=2, tokens=0, torch=(), plain=(), jax=()):
        case = Case(cell, Shape(*shape), variant)
        torch, plain, jax = (Timing(seconds) if seconds else None for seconds in (torch, plain, jax))
        distances = (Distance("output", 2e-7, 3e-7, 5e-7), Distance("weight_hh_l0", 6e-7, 5e-7, 7.5e-7))
        timings = Timings(Timing((0.004, 0.002, 0.001)), torch, plain, jax, 1e9, 0.02)
        saved = Saved(300, 1200 if torch else None)
        return Measurement(case, threads, tokens or shape[0] * shape[2], distances, timings, saved)

    return make
