from dataclasses import replace
from pathlib import Path

import pytest
from report.records_of import flow, metrics, record

from throughtime.records import Context, Finding, LagGain, Memory, MetricsRow, Outcome, Results, Verdict
from throughtime.report.standing import Advice, Badge, Limits, kept_flow, standing

FOLDER = Path("runs/book")
MEMORY = Memory(99, 1.9, 2.4, 40, [Context(7, 1.9, 0.1)], [LagGain(16, 31, 20, 0.5, 0.1)])


def _flow(verdict, **numbers):
    made = Finding(verdict, "l0", numbers, f"{verdict.value}: so", ["Never."])
    return replace(flow(2, 800), memory=MEMORY, finding=made)


HEALTHY = _flow(Verdict.HEALTHY, used=7.0)


def _stands(rows=None, flows=(HEALTHY,), best=1.875, **changes):
    made = record(results=Results(900, 3.0, best, 800, 1.9, 51000.0, 93.5), **changes)
    return standing(FOLDER, made, metrics() if rows is None else rows, [], flows)


def _rows(*losses):
    return [
        MetricsRow(100 * (place + 1), place + 1.0, 3 * 0.8**place, loss, 1e-3, 1.0, 0.0, 1.0, 1.0)
        for place, loss in enumerate(losses)
    ]


def test_a_run_that_is_good_and_settled_needs_nothing():
    stands = _stands(_rows(2.5, 1.9, 1.88, 1.876, 1.875, 1.875))
    assert stands.badge == Badge.GOOD.value and stands.good[0].startswith("Yes. Best validation: 1.875 nats")
    assert stands.limits == [Limits.NOTHING.value, "Healthy: so."] and not stands.advice


def test_overfitting_is_named_with_what_was_kept():
    stands = _stands(_rows(2.6, 2.3, 2.2, 2.25, 2.35, 2.5))
    assert stands.badge == "overfitting"
    assert stands.limits[0] == (
        "Overfitting: the validation loss was best after update 300 (2.2 nats) and has risen by 0.225 nats since, "
        "while the training loss fell from 1.92 to 0.983. The weights of update 300 are kept."
    )
    assert stands.limits[1] == "Healthy: so."


def test_a_training_that_is_not_finished_goes_on():
    stands = _stands(_rows(3.0, 2.5, 2.2, 2.0, 1.95, 1.875))
    assert stands.badge == "not finished" and stands.limits[0].endswith("validation loss still fell by 0.125 nats.")
    assert stands.advice == ["Train on: throughtime train --resume runs/book --epochs 6"]


def test_a_lost_gradient_that_costs_something_comes_first():
    lost = _flow(Verdict.VANISHING, missed=0.5)
    stands = _stands(_rows(3.0, 2.5, 2.2, 2.0, 1.95, 1.875), [lost])
    assert stands.badge == "vanishing" and stands.limits[0] == "Vanishing: so."
    assert stands.advice[0].startswith("Train on"), "an LSTM has gates"
    simple = replace(record().model, cell="rnn")
    assert _stands([], [lost], model=simple).advice == [Advice.GATES.value]


def test_what_does_no_better_than_a_guess_is_not_called_good():
    stands = _stands([], best=2.45)
    assert stands.badge == Badge.NO_BETTER.value and stands.good[0].startswith("Not yet.")
    assert stands.limits == [Limits.NOT_FOUND.value, "Healthy: so."]
    assert _stands([], best=4.6).good[0].startswith("No. ")


def test_a_limit_without_a_measured_remedy_says_so():
    assert _stands([], [_flow(Verdict.EXPLODING)]).advice == [Advice.NONE.value]


@pytest.mark.parametrize(("updates", "kept"), [((0, 800, 900), 800), ((0, 900), 900), ((), None)])
def test_the_diagnosis_of_the_kept_weights_is_taken_or_else_the_last(updates, kept):
    taken = kept_flow(record(), [replace(HEALTHY, update=update) for update in updates])
    assert (None if taken is None else taken.update) == kept


def test_before_the_first_validation_nothing_is_said():
    started = record(outcome=Outcome.STARTED, results=Results())
    stands = standing(FOLDER, started, [], [], [])
    assert (stands.badge, stands.limits, stands.advice) == ("", [], [])
