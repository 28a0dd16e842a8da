"""Layers called with whatever a caller may have: torch.nn's value or a sentence, never a crash or a wrong number.

Each area of strategies.PLACES is fuzzed by itself, so that a fault in one hides none in another; `make fuzz` tries
more.
"""

import math
import os
import warnings
from dataclasses import replace

import pytest
import torch
from fuzz.crash_plans import CrashPlan
from fuzz.forms import FORMS, changed, plain
from fuzz.layer_plans import KINDS, METHODS, LayerPlan
from fuzz.running import assert_no_fault
from fuzz.strategies import EXAMPLES, PLACES, layer_plans
from fuzz.verdicts import RIGHT, SENTENCE, is_fault, of_results
from fuzz.worker import Worker

import throughtime as tt
from throughtime.kernels import native

pytestmark = pytest.mark.skipif(native.library() is None, reason="the compiled kernels are not installed")


@pytest.mark.parametrize("area", PLACES)
def test_a_layer_answers_rightly_or_in_a_sentence(area: str, worker: Worker):
    assert_no_fault(layer_plans(area), worker, examples=100)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_usual_is_answered_with_a_value(kind: str, method: str, worker: Worker):
    usual = LayerPlan(kind=kind, method=method, layers=2, bidirectional=True, hx=True)
    plans = [
        *(replace(usual, way=way) for way in ("vectors", "indices", "unbatched")),
        *(replace(usual, way=way, lengths=(3, 1)) for way in ("vectors", "packed")),
        replace(usual, resets=True, learned=True, hx=False),
        replace(usual, changes=(("x", "negative"), ("h", "guarded"), ("weight 1", "strided"))),
    ]
    assert [worker.ask(plan) for plan in plans] == [RIGHT] * len(plans)


INFINITE = LayerPlan(kind="RNN-relu", sizes=(3, 2, 2, 5), way="indices", changes=(("weight 1", "infinity"),))
FOUND = {
    "what a form of hx would read": LayerPlan(hx=True, changes=(("h", "cut short"), ("hx", "below zero"))),
    "0 times infinity where no index selects": INFINITE,
    "0 times an arriving infinity": replace(INFINITE, changes=(("d outputs", "infinity"),)),
    "the order of a sum that overflows": replace(INFINITE, way="vectors", changes=(("weight 1", "huge"),)),
    "packed inputs that are narrower in the backward pass": LayerPlan(
        dtype="float16", sizes=(2, 2, 1, 5), way="packed", lengths=(1, 2), events=(("x", "narrower"),)
    ),
}


@pytest.mark.parametrize("found", FOUND)
def test_what_a_long_run_found_stays_right(found: str, worker: Worker):
    judgements = [worker.ask(replace(FOUND[found], seed=seed)) for seed in range(4)]
    assert not any(map(is_fault, judgements)), judgements


def test_every_form_makes_something_of_a_tensor():
    """Of a tensor of numbers; and without the form the values are the same as its own."""
    tensor = torch.arange(1.0, 7).view(2, 3)
    warnings.simplefilter("ignore")  # of forms that torch calls new
    assert [
        name for name in FORMS if name not in ("float32", "shared") and changed(tensor.clone(), name) is tensor
    ] == []
    for name in ("transposed", "strided", "misaligned", "negative", "guarded", "by function", "by dispatch", "sparse"):
        assert torch.equal(plain(changed(tensor.clone(), name)), tensor), name


@pytest.mark.parametrize("wrong", [[0.0, 1.1], [-0.001, 1.0], [math.inf, 1.0], [math.nan, 1.0]], ids=str)
def test_a_wrong_value_is_a_fault(wrong: list[float]):
    results = {"outputs": torch.tensor([0.0, 1.0])}
    assert of_results(results, results, torch.float32) == RIGHT
    assert of_results({"outputs": torch.tensor(wrong)}, results, torch.float32).startswith("outputs is ")


def test_beside_nan_a_selected_gradient_may_have_one_value_alone():
    """And an infinity that of its own sign."""
    expected, exact = (torch.tensor([value, -math.inf]) for value in (math.nan, math.inf))

    def judgement(*values: float) -> str:
        ours = {"W": torch.tensor(values)}
        return of_results(ours, {"W": expected}, torch.float32, selected={"W": exact})

    assert judgement(math.inf, -math.inf) == judgement(math.nan, -math.inf) == RIGHT
    for wrong in ((0.0, -math.inf), (-math.inf, -math.inf), (math.inf, math.inf), (math.inf, 0.0)):
        assert is_fault(judgement(*wrong)), wrong


@pytest.mark.parametrize("how", ["beyond", "before"])
def test_a_crash_is_an_answer(how: str, worker: Worker):
    """The byte beyond a guarded tensor may not be read, and the worker goes on after a plan that has read it."""
    assert worker.ask(CrashPlan(how)).startswith("ended the process: SIGSEGV")
    assert worker.ask(LayerPlan()) == RIGHT
    assert worker.ask(LayerPlan(changes=(("x", "narrower"),))).startswith(SENTENCE)


def _need(free: int) -> None:
    have = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if have < free:
        pytest.skip(f"{have >> 30} GiB of memory are free, and this takes {free >> 30}")


@pytest.mark.parametrize("kind", [tt.RNN, tt.LSTM, tt.GRU] if EXAMPLES else [tt.RNN])
def test_more_than_two_to_the_31_inputs_that_take_no_memory(kind):
    """An input that is the same at every step and row: after a while every output is the same."""
    _need(1 << 30)
    layer = kind(2**10 + 1, 1)
    x = torch.randn(1, 1, layer.input_size).expand(2**20, 2, -1)
    with torch.no_grad():
        y, short = layer(x)[0], layer(x[:1000])[0]
    assert x.numel() > 2**31 and torch.equal(y[:1000], short)
    assert torch.allclose(y[1000:], short[-1], atol=1e-5)


def test_more_than_two_to_the_31_outputs():
    if not EXAMPLES:
        pytest.skip("8 GiB of outputs are made by `make fuzz` alone")
    _need(12 << 30)
    layer, x = tt.RNN(1, 1), torch.randn(1, 1, 1).expand(2**20, 2**11 + 1, -1)
    with torch.no_grad():
        y, short = layer(x)[0], layer(x[:1000])[0]
    assert y.numel() > 2**31 and torch.equal(y[:1000], short)
    assert torch.allclose(y[-1000:], short[-1], atol=1e-5) and torch.equal(y[:, -1], y[:, 0])


@pytest.mark.timeout(60)
@pytest.mark.parametrize("shape", [(2**40, 0, 3), (0, 2**20, 3)], ids=str)
def test_many_steps_of_no_rows_take_no_time(shape):
    """Nothing is computed, however many steps there are of it."""
    with torch.no_grad():
        y, h = tt.GRU(3, 5)(torch.empty(shape))
    assert y.shape == (*shape[:2], 5) and h.shape == (1, shape[1], 5) and not h.any()
