from dataclasses import replace

import pytest
import torch
from examples_of import public_classes

import throughtime as tt
from throughtime import gradients
from throughtime.benchmark import methods as module
from throughtime.benchmark.grid import Shape
from throughtime.benchmark.methods import Candidate, candidates, measure_method
from throughtime.gradients import GradientMethod

SHAPE = Shape(3, 5, 7)


def test_every_public_method_is_a_candidate_under_the_expression_that_makes_it():
    found = candidates()
    assert {type(one.method) for one in found} == public_classes(gradients, GradientMethod)
    assert all(eval(one.label, vars(gradients)) == one.method for one in found)
    assert [one.label for one in found[:2]] == ["BPTT()", "BPTT(save='states')"]
    exact = [one.method.exact for one in found]
    assert exact == sorted(exact, reverse=True)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_exact_methods_are_within_rounding_and_the_others_have_an_error(brief, cell):
    by_label = {one.label: measure_method(one, cell, SHAPE, brief) for one in candidates()}
    assert by_label["RFLO()"].refusal is None if cell == "rnn" else "RFLO cannot serve" in by_label["RFLO()"].refusal
    served = [one for one in by_label.values() if one.refusal is None]
    assert not any(one.failed for one in served)
    assert all(one.worst <= 1e-12 for one in served if one.exact)
    for label in ("SnAp(order=1)", "UORO()", "EProp()"):
        one = by_label[label]
        assert one.error > 0.01 and abs(one.cosine) < 0.9999 and one.ratio and one.saved and one.peak, label
    assert by_label["RTRL()"].saved < by_label["BPTT()"].saved


def test_the_error_and_the_cosine_are_those_of_the_weights(brief):
    found = measure_method(Candidate("", tt.TruncatedBPTT(1)), "gru", SHAPE, brief)
    run, reference = (
        module.measured_run(method, "gru", SHAPE, torch.float64) for method in (tt.TruncatedBPTT(1), tt.BPTT())
    )
    state = (0.5 * run.cotangent[:1]).contiguous()
    one, other = (
        torch.cat(
            [g.flatten() for g in torch.autograd.grad(r.layer(r.x, state)[0], [*r.layer.parameters()], r.cotangent)]
        )
        for r in (run, reference)
    )
    assert found.error == pytest.approx(float((one - other).norm() / other.norm()), rel=1e-12)
    assert found.cosine == pytest.approx(float(torch.nn.functional.cosine_similarity(one, other, dim=0)), rel=1e-12)


class Off(tt.BPTT):
    """Says that it is exact."""

    def backward(self, *arguments, **options):
        found = super().backward(*arguments, **options)
        return replace(found, initial=tuple(1.00001 * member for member in found.initial))


def test_one_that_only_says_that_it_is_exact_is_not_timed(brief, monkeypatch):
    monkeypatch.setattr(module, "take_turns", lambda *_: pytest.fail("timed"))
    found = measure_method(Candidate("Off()", Off()), "lstm", SHAPE, brief)
    assert found.failed and found.error <= 1e-14 and found.worst == pytest.approx(1e-5, rel=1e-6)
    assert found.seconds is None and found.ratio is None
    assert replace(found, worst=float("nan")).failed
