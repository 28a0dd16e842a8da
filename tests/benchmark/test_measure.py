import gc
from dataclasses import replace

import pytest
import torch

from throughtime.benchmark import measure as module
from throughtime.benchmark import sides
from throughtime.benchmark.grid import VARIANTS, Case, Shape
from throughtime.benchmark.measure import LargeProduct, Turns, measure, saved_bytes, take_turns, threads
from throughtime.benchmark.sides import prepare
from throughtime.layers import GRU

SHAPE = Shape(3, 7, 11)


class Clock:
    """Time that only passes inside the sides."""

    def __init__(self, monkeypatch):
        self.now, self.turns = 0.0, []
        monkeypatch.setattr(module, "perf_counter", lambda: self.now)

    def side(self, name, seconds):
        def turn():
            assert not gc.isenabled()
            self.turns.append(name)
            self.now += seconds

        return turn

    def product(self, seconds=0.125):
        side = self.side("P", seconds)

        class Ticking(LargeProduct):
            def __call__(self):
                side()
                return self._product

        return Ticking(4, torch.float32)


def test_sides_take_turns_in_both_orders_after_the_warm_ups(monkeypatch):
    clock = Clock(monkeypatch)
    sides = {"ours": clock.side("a", 0.25), "torch": clock.side("b", 0.5)}
    found, _ = take_turns(sides, clock.product(), Turns(2, 3, 0.0, 9.0))
    assert "".join(clock.turns).replace("P", "") == "abab" + "ab" + "ba" + "ab"
    assert found["ours"].seconds == (0.25,) * 3 and found["torch"].seconds == (0.5,) * 3
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("seconds", "turns"),
    [(0.001, 1000), (0.1, 15), (0.0625, 16), (1.0, 6), (5.0, 3)],
    ids=["until-it-lasts-a-second", "at-least-fifteen", "both", "capped", "never-less-than-three"],
)
def test_how_many_turns_there_are(monkeypatch, seconds, turns):
    clock = Clock(monkeypatch)
    found, _ = take_turns({"ours": clock.side("a", seconds)}, clock.product(), module.FULL)
    assert len(found["ours"].seconds) == pytest.approx(turns, abs=seconds == 0.001)


def test_the_large_product_runs_between_the_turns(monkeypatch):
    clock = Clock(monkeypatch)
    found, rate = take_turns({"ours": clock.side("a", 0.25)}, clock.product(), Turns(1, 5, 0.0, 9.0, product_pause=0.5))
    assert "".join(clock.turns) == "Pa" + "PaaPaaPa"
    assert rate == 2 * 4**3 / 0.125
    assert len(found["ours"].seconds) == 5


def test_one_case_from_end_to_end(brief):
    one = measure(Case("gru", SHAPE), brief)
    assert one.failures == [] and [distance.name for distance in one.distances][:2] == ["output", "input"]
    assert one.timings is not None and one.timings.torch is not None
    assert len(one.timings.ours.seconds) == len(one.timings.torch.seconds) == 3
    assert one.timings.plain is None and one.timings.jax is None
    assert one.tokens == 33 and one.threads == torch.get_num_threads()
    assert one.ratio and one.share and one.timings.product_rate > 0
    assert one.saved is not None and one.saved.torch


def test_variants_are_timed_against_what_they_are_measured_by(brief):
    packed, resets = (measure(Case("gru", SHAPE, VARIANTS[name]), brief) for name in ("packed", "resets"))
    assert packed.ratio and packed.own_cost
    assert resets.ratio is None and resets.own_cost
    assert resets.saved is not None and resets.saved.torch is None


class Forgetful(GRU):
    """Wrong in the last step only."""

    def forward(self, input, hx=None, *, lengths=None, resets=None):
        outputs, final = super().forward(input, hx, lengths=lengths, resets=resets)
        return torch.cat((outputs[:-1], outputs[-1:] * 1.001)), final


def test_a_wrong_layer_is_not_timed(brief, monkeypatch):
    monkeypatch.setitem(sides.OURS, "gru", Forgetful)
    monkeypatch.setattr(module, "take_turns", lambda *_: pytest.fail("timed"))
    one = measure(Case("gru", SHAPE), brief)
    assert one.timings is None and one.saved is None
    assert "output" in {distance.name for distance in one.failures}


class Scan:
    """In the place of jax, as far away from the reference as it is told."""

    def __init__(self, away):
        self.away, self.asked = away, []

    def prepare(self, cell, side, reference):
        self.asked.append((cell, len(side.leaves) + 1 == len(reference)))
        return (lambda: None), self.away


@pytest.mark.parametrize(("away", "timed"), [(1e-6, True), (1e-2, False), (float("nan"), False)])
def test_jax_is_timed_if_it_computes_the_same(brief, away, timed):
    scan = Scan(away)
    one = measure(Case("gru", SHAPE), brief, scan)  # type: ignore[arg-type]
    assert scan.asked == [("gru", True)]
    assert one.timings is not None and (one.timings.jax is not None) == timed
    measure(Case("gru", SHAPE, VARIANTS["input1"]), brief, scan)  # type: ignore[arg-type]
    assert len(scan.asked) == 1, "variants are not measured against jax"


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with threads(3):
        assert torch.get_num_threads() == 3
        with threads(0):
            assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before


def test_the_variant_with_one_thread_runs_on_one(brief):
    with threads(2):
        assert measure(Case("rnn", SHAPE, VARIANTS["thread1"]), brief).threads == 1
        assert measure(Case("rnn", SHAPE), brief).threads == 2


def test_saved_bytes_count_each_storage_once_and_no_leaf():
    side = prepare(Case("rnn", SHAPE)).ours

    def call(layer, x):
        halves = x.exp()  # kept by exp, and views of it by both products: [11, 3, 7] once
        return halves[:5].flatten(0, 1) @ layer.weight_ih_l0 + halves[5:10].flatten(0, 1) @ layer.weight_hh_l0

    assert saved_bytes(replace(side, call=call)) == 4 * 11 * 3 * 7


def test_saved_bytes_of_a_layer_grow_with_time_and_not_with_parameters():
    short, long = (saved_bytes(prepare(Case("gru", Shape(3, 7, steps))).torch) for steps in (10, 20))
    assert 1.9 < long / short < 2.1
