"""Right derivatives are confirmed and wrong ones found, to the element; nothing of the user's is touched."""

import copy
import math
import random

import numpy as np
import pytest
import torch
from torch import nn

import throughtime as tt
from throughtime.errors import ArgumentError, NonFiniteError, UnsupportedError, WrongGradientError
from throughtime.gradients import GradientMethod, Gradients
from throughtime.verification import ComparisonOutcome

WRONG_AT = (3, 1)


class _Cube(torch.autograd.Function):
    """x³, with a derivative that is off by a tenth of a per cent in one element."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        factor = torch.ones_like(x)
        factor[WRONG_AT] = 1.001
        return 3 * x**2 * gradient * factor


class _OneStep(GradientMethod):
    """A biased method: no gradient passes from one step to the step before."""

    def check(self, cell):
        """Every cell is served."""

    def forward(self, recurrence, keep):
        return recurrence.forward("states" if keep else None)

    def backward(self, recurrence, trace, cotangents, norms):
        cell, parameters, sequence = recurrence.cell, recurrence.parameters, recurrence.sequence
        d_outputs, d_final = cotangents.outputs, cotangents.final
        entering = list(zip(*recurrence.entering(trace), strict=True))
        nothing = tuple(torch.zeros_like(member) for member in d_final)
        d_parameters = {name: torch.zeros_like(value) for name, value in parameters.items()}
        d_x = torch.zeros_like(sequence.x)
        for t, x in enumerate(sequence.x):
            final = d_final if t == len(sequence.x) - 1 else nothing
            step, d_x[t], _ = cell.step_vjp(parameters, x, entering[t], (d_outputs[t] + final[0], *final[1:]))
            d_parameters = {name: d_parameters[name] + step[name] for name in parameters}
        return Gradients(d_parameters, d_x, nothing, None)


@pytest.mark.parametrize(
    "gradient", [tt.BPTT(), tt.BPTT(save="states"), tt.DoubleSum(), tt.DoubleSum(order="forward")], ids=repr
)
@pytest.mark.parametrize("kind", [tt.RNN, tt.LSTM, tt.GRU])
def test_our_layers_pass_with_every_exact_method(kind, gradient):
    layer = kind(2, 3, gradient=gradient)
    resets = torch.zeros(4, 3, dtype=torch.bool)
    resets[2, 0] = resets[0, 1] = True
    state = torch.randn(1, 3, 3)
    hx = (state, torch.randn(1, 3, 3)) if kind is tt.LSTM else state
    report = tt.verify_gradients(
        layer, torch.randn(4, 3, 2), hx, keywords={"lengths": [4, 1, 0], "resets": resets}, raise_on_failure=True
    )
    assert report.ok and report.worst.error < 1e-9
    assert [one.name for one in report.tensors[:2]] == ["parameter weight_ih_l0", "parameter weight_hh_l0"]
    inputs = ["inputs[0]", "inputs[1][0]", "inputs[1][1]"] if kind is tt.LSTM else ["inputs[0]", "inputs[1]"]
    assert [one.name for one in report.tensors if one.name.startswith("inputs")] == inputs
    assert all(one.checked == one.elements for one in report.tensors)


def test_a_biased_method_is_found_out():
    layer = tt.RNN(2, 3, gradient=_OneStep())
    report = tt.verify_gradients(layer, torch.randn(4, 2, 2))
    wrong = {one.name for one in report.tensors if one.failures}
    assert not report.ok
    assert {"parameter weight_ih_l0", "parameter weight_hh_l0", "inputs[0]"} <= wrong
    last = [place for place in report.tensors[-1].places if place.index[0] == 3]
    assert report.tensors[-1].name == "inputs[0]" and not any(place.failed for place in last)


def test_per_step_clipping_is_found_out_where_it_takes_hold():
    x = torch.randn(4, 2, 2)
    assert tt.verify_gradients(tt.GRU(2, 3, gradient=tt.BPTT(clip_step=1e3)), x).ok
    assert not tt.verify_gradients(tt.GRU(2, 3, gradient=tt.BPTT(clip_step=1e-3)), x).ok


def test_a_short_horizon_is_found_out_and_checkpoints_pass():
    x = torch.randn(5, 2, 2)
    assert not tt.verify_gradients(tt.GRU(2, 3, gradient=tt.TruncatedBPTT(horizon=2)), x).ok
    assert tt.verify_gradients(tt.GRU(2, 3, gradient=tt.TruncatedBPTT(horizon=5)), x).ok
    assert tt.verify_gradients(tt.GRU(2, 3, gradient=tt.CheckpointedBPTT(segments=2)), x).ok


def test_one_wrong_element_is_named_with_both_values():
    x = torch.randn(5, 3, dtype=torch.float64)
    report = tt.verify_gradients(_Cube.apply, x, loss=lambda y: y.sum())
    (place,) = report.failures
    assert (place.tensor, place.index, place.finding) == ("inputs[0]", WRONG_AT, ComparisonOutcome.DIFFERS)
    right = 3 * x[WRONG_AT].item() ** 2
    assert place.differences == pytest.approx(right, rel=1e-9) and place.automatic == pytest.approx(1.001 * right)
    assert place.uncertainty < 1e-9
    assert report.worst == place
    with pytest.raises(WrongGradientError) as caught:
        tt.verify_gradients(_Cube.apply, x, loss=lambda y: y.sum(), raise_on_failure=True)
    said = str(caught.value)
    assert said.startswith(f"inputs[0], element [3, 1]: automatic differentiation gives {1.001 * right:.9g}"[:60])
    assert f"central differences {right:.6f}"[:-1] in said and "15 of 15 elements of 1 tensor" in said


def test_the_wrong_element_of_a_large_tensor_is_found_though_it_is_not_drawn():
    x = torch.randn(60, 70, dtype=torch.float64) + 2
    report = tt.verify_gradients(_Cube.apply, x, samples=9, seed=3)
    element, direction = report.failures
    assert element.index == WRONG_AT and direction.index is None
    assert report.worst == element
    (tensor,) = report.tensors
    assert (tensor.checked, tensor.elements) == (10, 4200)
    assert "10 of 4200 and a direction" in str(report)


def test_a_large_tensor_that_is_right_is_sampled_and_the_report_says_so():
    report = tt.verify_gradients(torch.tanh, torch.randn(60, 70), samples=9)
    assert report.ok and report.tensors[0].checked == 9
    assert report.sentence.startswith("9 of 4,200 elements of 1 tensor compared")
    indices = {place.index for place in report.tensors[0].places}
    other = {
        place.index
        for place in tt.verify_gradients(torch.tanh, torch.randn(60, 70), samples=9, seed=1).tensors[0].places
    }
    assert indices != other, "another seed draws other elements"


def test_all_elements_are_compared_where_all_are_asked_for():
    assert tt.verify_gradients(torch.tanh, torch.randn(11, 13), samples=None).tensors[0].checked == 143


class _Everything(nn.Module):
    """A shared weight, a frozen one, dropout, a running mean that training changes, in- and outputs in nests."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.frozen = nn.Parameter(torch.randn(3), requires_grad=False)
        self.norm = nn.BatchNorm1d(3)
        self.drop = nn.Dropout(0.4)

    def forward(self, batch, scale):
        y = self.norm(self.drop(self.first(batch["x"]))) * self.frozen
        return {"y": self.second(y).mul_(scale[0]), "count": torch.tensor(3), "pair": (y.norm(dim=1), [y.exp()])}


def test_a_module_of_anybodys_with_dropout_shared_frozen_and_nested_tensors():
    model = _Everything()
    report = tt.verify_gradients(model, {"x": torch.randn(5, 3), "n": 2}, (torch.tensor(1.5),))
    assert report.ok, report
    names = [one.name for one in report.tensors]
    assert names.count("parameter first.weight") == 1 and "parameter second.weight" not in names
    assert report.frozen == ("frozen",) and "ask for no gradient: frozen" in str(report)
    assert names[-2:] == ["inputs[0]['x']", "inputs[1][0]"]


def test_nothing_of_the_users_is_touched():
    model = _Everything().train()
    model.drop.eval()
    model.first.weight.grad = torch.full((3, 3), 7.0)
    before, x = copy.deepcopy(model.state_dict()), torch.randn(5, 3, requires_grad=True)
    kept = x.detach().clone()
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    tt.verify_gradients(model, {"x": x}, [2.0])
    for name, value in model.state_dict().items():
        assert value.dtype == before[name].dtype and torch.equal(value, before[name]), name
    assert torch.equal(model.first.weight.grad, torch.full((3, 3), 7.0)) and model.frozen.grad is None
    assert model.training and not model.drop.training
    assert torch.equal(x, kept) and x.grad is None
    assert torch.equal(torch.get_rng_state(), states[0]) and random.getstate() == states[1]
    assert np.random.get_state()[1].tolist() == states[2]


def test_tensors_that_a_function_reads_are_compared_where_they_are_named_and_put_back():
    w = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    kept = w.detach().clone()
    report = tt.verify_gradients(lambda x: torch.tanh(x @ w), torch.randn(2, 3), parameters={"w": w})
    assert report.ok and [one.name for one in report.tensors] == ["parameter w", "inputs[0]"]
    assert torch.equal(w, kept) and w.grad is None and w.requires_grad
    unnamed = tt.verify_gradients(lambda x: torch.tanh(x @ w), torch.randn(2, 3))
    assert (report.unnamed, unnamed.unnamed) == (0, 1)
    assert "1 other tensor that the function reads" in str(unnamed)


def test_a_derivative_inside_the_function_can_be_verified():
    def slope(x):
        return torch.autograd.grad(torch.sin(x * x).sum(), x, create_graph=True)[0]

    assert tt.verify_gradients(slope, torch.randn(3)).ok


def test_a_path_that_was_cut_is_found_out():
    report = tt.verify_gradients(lambda x, y: x * y.detach(), torch.randn(3), torch.randn(3))
    assert [len(one.failures) for one in report.tensors] == [0, 3]
    assert report.worst.automatic == 0 and report.worst.tensor == "inputs[1]"


def test_a_derivative_that_is_nan_is_found_out():
    """The square root's slope at 0 is infinite, and 0 · ∞ is NaN on the way back, where the function itself is flat."""

    def masked(x):
        return torch.where(x > 0, torch.sqrt((x + x.abs()) / 2), torch.zeros_like(x))

    report = tt.verify_gradients(masked, torch.tensor([-1.0, 2.0]))
    (place,) = report.failures
    assert place.index == (0,) and math.isnan(place.automatic) and place.differences == 0


def test_relu_at_zero_is_a_kink_and_not_a_failure():
    report = tt.verify_gradients(torch.relu, torch.tensor([0.0, 1.0, -2.0]))
    assert report.ok
    (tensor,) = report.tensors
    assert tensor.checked == 2 and [place.index for place in tensor.kinks] == [(0,)]
    assert "element [0]: the function has a kink" in str(report) and "2 of 3 elements" in report.sentence


def test_a_value_outside_of_the_one_sided_derivatives_is_wrong_even_at_a_kink():
    class Relu(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clamp(min=0)

        @staticmethod
        def backward(ctx, gradient):
            return 2 * gradient

    report = tt.verify_gradients(Relu.apply, torch.tensor([0.0]), loss=lambda y: y.sum())
    assert [place.finding for place in report.failures] == [ComparisonOutcome.DIFFERS]


def test_a_kink_nearby_is_no_kink():
    assert tt.verify_gradients(torch.abs, torch.tensor([1e-3, -1e-6, 1e-7])).tensors[0].checked == 3


def test_a_jump_is_a_failure_with_its_own_words():
    report = tt.verify_gradients(lambda x: torch.round(x) + x, torch.tensor([0.5, 0.2]))
    assert [(place.index, place.finding) for place in report.failures] == [((0,), ComparisonOutcome.UNSETTLED)]
    assert "do not settle" in report.sentence


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1e6])
def test_functions_of_any_scale_are_confirmed(scale):
    assert tt.verify_gradients(torch.log, torch.tensor([1.0, 3.0]) * scale).ok


def test_a_fixed_step_is_kept_to():
    seen = []

    def cube(x):
        seen.append(x.item())
        return x**3

    assert tt.verify_gradients(cube, torch.tensor(1.0), step=0.01).ok
    assert {round(abs(value - 1), 9) for value in seen} == {0.0, 0.01, 0.02}
    assert not tt.verify_gradients(lambda x: torch.sin(300 * x), torch.tensor(1.0), step=0.01).ok
    assert tt.verify_gradients(lambda x: torch.sin(300 * x), torch.tensor(1.0)).ok


def test_the_tolerance_decides():
    x = torch.randn(5, 3) + 2
    assert not tt.verify_gradients(_Cube.apply, x, tolerance=1e-4).ok
    assert tt.verify_gradients(_Cube.apply, x, tolerance=1e-2).ok


def test_without_a_loss_nothing_cancels():
    """The sum of a softmax is 1 whatever comes in: the plain sum of the outputs would hide any error."""

    class Softmax(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.softmax(-1)

        @staticmethod
        def backward(ctx, gradient):
            return torch.zeros_like(gradient)

    assert not tt.verify_gradients(Softmax.apply, torch.randn(4)).ok
    assert tt.verify_gradients(Softmax.apply, torch.randn(4), loss=lambda y: y.sum()).ok


def test_packed_sequences_go_in_and_come_out():
    packed = nn.utils.rnn.pack_padded_sequence(torch.randn(5, 3, 2), [5, 3, 1])
    report = tt.verify_gradients(tt.GRU(2, 3), packed)
    assert report.ok and report.tensors[-1].name == "inputs[0][0]" and report.tensors[-1].checked == 18


def test_a_function_that_writes_into_its_input_is_verified():
    assert tt.verify_gradients(lambda x: x.mul_(3).tanh_(), torch.randn(3)).ok


class _Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * self.calls


@pytest.mark.parametrize(
    ("model", "inputs", "error", "said"),
    [
        (
            torch.tanh,
            (torch.tensor([1, 2]),),
            ArgumentError,
            "^inputs hold no floating tensor, .*; there is nothing to compare: ",
        ),
        (
            lambda x: x.argmax(),
            (torch.randn(3),),
            ArgumentError,
            "^model returned no floating .*; there is nothing to differentiate",
        ),
        (lambda x: x.detach(), (torch.randn(3),), UnsupportedError, "depends on no parameter and no input"),
        (_Counting(), (torch.randn(3),), UnsupportedError, "Two evaluations .* differ by .* in output"),
        (torch.log, (torch.tensor([1.0, -1.0]),), NonFiniteError, r"output holds nan at \[1\]"),
        (torch.tanh, (torch.tensor([1.0, math.inf]),), NonFiniteError, r"inputs\[0\] holds inf at \[1\]"),
        (lambda x: (x, x.float()), (torch.randn(3),), UnsupportedError, r"output\[1\] is torch.float32"),
        (torch.abs, (torch.randn(3, dtype=torch.complex64),), UnsupportedError, r"inputs\[0\] is complex"),
    ],
)
def test_what_cannot_be_verified_is_refused_by_name(model, inputs, error, said):
    with pytest.raises(error, match=said):
        tt.verify_gradients(model, *inputs)


def test_a_parameter_that_is_not_finite_is_named():
    layer = nn.Linear(2, 3)
    layer.weight.data[1, 0] = math.nan
    with pytest.raises(NonFiniteError, match=r"parameter weight holds nan at \[1, 0\]"):
        tt.verify_gradients(layer, torch.randn(4, 2))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"step": 0.0}, "^step is 0.0; it must be a positive"),
        ({"step": math.nan}, "^step is nan; it must be a positive"),
        ({"tolerance": "1e-4"}, "^tolerance is '1e-4'; it must be above"),
        ({"step": "small"}, "^step is 'small'; it must be a positive finite number"),
        ({"tolerance": 1.0}, "^tolerance is 1.0; it must be above"),
        ({"samples": 0}, "^samples is 0; it must be a whole"),
        ({"samples": 1.5}, "^samples is 1.5; it must be a whole"),
        (
            {"parameters": {"w": torch.zeros(3, requires_grad=True)}},
            r"^parameters\['w'\] is of torch.float32; it must be",
        ),
        ({"parameters": {"w": 3.0}}, r"^parameters\['w'\] is a float; it must be"),
    ],
)
def test_options_out_of_range_are_refused(options, said):
    with pytest.raises(ArgumentError, match=said):
        tt.verify_gradients(torch.tanh, torch.randn(3), **options)


def test_parameters_are_for_functions():
    with pytest.raises(ArgumentError, match="^parameters came with a module; .*: leave it out"):
        tt.verify_gradients(nn.Linear(2, 3), torch.randn(4, 2), parameters={})


def test_single_precision_inside_is_explained():
    w = torch.randn(3, 3)
    with pytest.raises(RuntimeError) as caught:
        tt.verify_gradients(lambda x: x @ w, torch.randn(2, 3))
    assert "computes in float64" in caught.value.__notes__[0]


def test_a_module_that_cannot_be_copied_is_refused():
    layer = nn.Linear(2, 3)
    layer.cache = layer.weight * 2
    with pytest.raises(UnsupportedError, match="model cannot be copied"):
        tt.verify_gradients(layer, torch.randn(4, 2))
