"""torch.ops.throughtime called with whatever fits its schema: the loop's value or a sentence.

A graph may be edited, exported, and run by others, so that nothing about the arguments was checked before.
"""

from dataclasses import replace

import pytest
from fuzz.operator_plans import CELLS, OperatorPlan
from fuzz.running import assert_no_fault
from fuzz.strategies import operator_plans
from fuzz.verdicts import RIGHT
from fuzz.worker import Worker

from throughtime.kernels import native

pytestmark = pytest.mark.skipif(native.library() is None, reason="the compiled kernels are not installed")


@pytest.mark.parametrize("backward", [False, True], ids=["recurrence", "recurrence_backward"])
def test_an_operator_answers_rightly_or_in_a_sentence(backward: bool, worker: Worker):
    assert_no_fault(operator_plans(backward), worker, examples=200)


@pytest.mark.parametrize("backward", [False, True], ids=["recurrence", "recurrence_backward"])
@pytest.mark.parametrize("cell", CELLS)
def test_what_is_usual_is_answered_with_a_value(cell: str, backward: bool, worker: Worker):
    usual = OperatorPlan(cell=cell, backward=backward, reverse=True)
    plans = [
        usual,
        replace(usual, dtype="float64", save="states", clip_step=0.5),
        replace(usual, indices=True, bias=False),
        replace(usual, lengths=(1, 3), resets=True),
        replace(usual, lengths=(1, 3), packed=True, resets=True, save="states"),
        replace(usual, changes=(("x", "strided"), ("weights 1", "negative"), ("initial 0", "guarded"))),
    ]
    assert [worker.ask(plan) for plan in plans] == [RIGHT] * len(plans)


@pytest.mark.parametrize("backward", [False, True], ids=["recurrence", "recurrence_backward"])
def test_further_steps_of_no_rows_are_none(backward: bool, worker: Worker):
    plan = OperatorPlan(backward=backward, sizes=(1, 1, 1, 5), lengths=(0,), packed=True)
    assert worker.ask(replace(plan, changes=(("batch_sizes", "longer"),))) == RIGHT
