"""Clipping against torch's own, and where torch's own overflows, underflows or spreads a NaN."""

import dataclasses
import math
import re
import warnings
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import Module, Parameter

from throughtime.clipping import ClipReport, clip_gradients
from throughtime.errors import ArgumentError, NonFiniteError, UnsupportedError

inf, nan = math.inf, math.nan


def with_gradient(values, dtype: torch.dtype = torch.float64) -> Parameter:
    gradient = torch.as_tensor(values, dtype=dtype)
    parameter = Parameter(torch.ones_like(gradient))
    parameter.grad = gradient.clone()
    return parameter


def trained_lstm(dtype: torch.dtype = torch.float64) -> Module:
    torch.manual_seed(4)
    model = torch.nn.LSTM(3, 5, num_layers=2, dtype=dtype)
    model(torch.randn(7, 9, 3, dtype=dtype))[0].pow(3).sum().backward()
    return model


def gradients_of(parameters) -> list[Tensor]:
    return [parameter.grad.clone() for parameter in parameters]


def norm_of(gradients: list[Tensor]) -> float:
    return math.sqrt(math.fsum(entry**2 for gradient in gradients for entry in gradient.flatten().tolist()))


class Tap:
    def __init__(self, answer: tuple[str, int, int] | None):
        self.answer = answer

    def first_nonfinite(self) -> tuple[str, int, int] | None:
        return self.answer


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("fraction", [0.013, 0.7, 1.5])
def test_by_norm_agrees_with_torch(dtype: torch.dtype, fraction: float):
    ours, theirs = trained_lstm(dtype), trained_lstm(dtype)
    before = gradients_of(ours.parameters())
    total = norm_of(before)
    threshold = fraction * total
    report = clip_gradients(ours, norm=threshold)
    their_total = torch.nn.utils.clip_grad_norm_(theirs.parameters(), threshold).item()
    precision = torch.finfo(dtype).eps * 8
    assert report.total_norm == pytest.approx(total, rel=precision)
    assert report.total_norm == pytest.approx(their_total, rel=precision)
    assert report.scale == pytest.approx(min(1.0, fraction), rel=precision)
    assert report.clipped == (fraction < 1) and report.nonfinite is None and not report.skipped
    # torch divides by total + 1e-6: with that undone the two are one formula.
    torchs_offset = (total + 1e-6) / total if fraction < 1 else 1.0
    for mine, other in zip(gradients_of(ours.parameters()), gradients_of(theirs.parameters()), strict=True):
        torch.testing.assert_close(mine, other * torchs_offset, rtol=precision, atol=0)
    if fraction < 1:
        assert norm_of(gradients_of(ours.parameters())) == pytest.approx(threshold, rel=precision)


@pytest.mark.parametrize("fraction", [0.013, 0.7, 1.5])
def test_by_value_agrees_with_torch(fraction: float):
    ours, theirs = trained_lstm(torch.float32), trained_lstm(torch.float32)
    threshold = fraction * max(gradient.abs().max().item() for gradient in gradients_of(ours.parameters()))
    report = clip_gradients(ours, value=threshold)
    torch.nn.utils.clip_grad_value_(theirs.parameters(), threshold)
    assert report.clipped == (fraction < 1) and report.scale == 1.0
    for mine, other in zip(gradients_of(ours.parameters()), gradients_of(theirs.parameters()), strict=True):
        assert torch.equal(mine, other)
    assert not clip_gradients(ours, value=threshold).clipped  # 0.1 and float32's 0.1 are the same threshold


def test_norm_counts_entries_of_both_signs_and_value_clips_both():
    parameter = with_gradient([[-3.0, 0.5], [4.0, -0.25]])
    assert clip_gradients([parameter], value=1.0).total_norm == math.sqrt(9 + 16 + 0.3125)
    assert parameter.grad.tolist() == [[-1.0, 0.5], [1.0, -0.25]]
    negative = with_gradient([-3.0, 0.5])
    assert clip_gradients([negative], value=1.0).clipped and negative.grad.tolist() == [-1.0, 0.5]


def test_without_a_threshold_gradients_are_only_checked():
    model = trained_lstm()
    before = gradients_of(model.parameters())
    report = clip_gradients(model)
    assert report == ClipReport(pytest.approx(norm_of(before)))
    assert all(map(torch.equal, before, gradients_of(model.parameters())))
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.scale = 2.0


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([3e30, -4e30], torch.float32),
        ([3e38, -2e38], torch.float32),
        ([3e-42, 4e-42], torch.float32),
        ([3e200, 4e200], torch.float64),
        ([-6e307, 8e307], torch.float64),
        ([3e-200, 4e-200], torch.float64),
        ([3e38, 1e38], torch.bfloat16),
        ([3e4, -6e4], torch.float16),
        ([6e-8, 1.2e-7], torch.float16),
    ],
)
@pytest.mark.parametrize("fraction", [0.5, 1e-3])
def test_neither_overflow_nor_underflow(values: list[float], dtype: torch.dtype, fraction: float):
    parameter = with_gradient(values, dtype)
    stored = parameter.grad.double().tolist()
    total = math.hypot(*stored)
    report = clip_gradients([parameter], norm=fraction * total)
    assert report.total_norm == pytest.approx(total, rel=1e-13, abs=0)
    assert report.scale == pytest.approx(fraction, rel=1e-13)
    # Exact but for the last place of the gradient's own dtype, which below its normal numbers is an absolute step.
    step = torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
    expected = torch.tensor([entry * fraction for entry in stored], dtype=torch.float64)
    torch.testing.assert_close(parameter.grad.double(), expected, rtol=torch.finfo(dtype).eps, atol=step)


@pytest.mark.parametrize("scale", [1e-40, 1e-30, 1e-20, 1.0, 1e20, 1e30])
def test_the_norm_is_right_at_any_size_and_shape(scale: float):
    """Long rows, empty ones, a scalar, a transposed matrix; float32 squares underflow, are exact, or overflow."""
    torch.manual_seed(1)
    shapes = [(), (5,), (0, 3), (3, 0), (7, 4, 3), (2, 5000), (6000,)]
    values = [torch.randn(shape, dtype=torch.float64) for shape in shapes]
    values.append(torch.randn(3, 5, dtype=torch.float64).T)
    parameters = [with_gradient(value * scale, torch.float32) for value in values]
    total = norm_of(gradients_of(parameters))
    assert clip_gradients(parameters).total_norm == pytest.approx(total, rel=1e-6, abs=0)
    assert clip_gradients(parameters, norm=0.5 * total).scale == pytest.approx(0.5, rel=1e-6)
    assert norm_of(gradients_of(parameters)) == pytest.approx(0.5 * total, rel=1e-5 if scale < 1e-35 else 1e-6)


@pytest.mark.parametrize("shape", [(1000, 1000), (1_000_000,), (100, 10_000)])
def test_rounding_errors_of_many_equal_entries_do_not_add_up(shape: tuple[int, ...]):
    """In one float32 sum, as torch's own takes it, they reach 4e-4."""
    parameter = with_gradient(torch.full(shape, 0.1), torch.float32)
    exact = 1e3 * torch.tensor(0.1).item()
    assert clip_gradients([parameter]).total_norm == pytest.approx(exact, rel=1e-6)


def test_a_vanished_gradient_beside_a_usual_one_changes_nothing():
    parameters = [with_gradient([3e-30, 4e-30], torch.float32), with_gradient([[3.0], [4.0]], torch.float32)]
    assert clip_gradients(parameters).total_norm == 5.0


def test_numbers_below_float64s_normal_range_are_clipped_to_the_last_bit_they_have():
    step = 5e-324
    parameter = with_gradient([3000 * step, -4000 * step])
    report = clip_gradients([parameter], norm=500 * step)
    assert report.total_norm == 5000 * step and report.scale == pytest.approx(0.1, rel=1e-12)
    assert parameter.grad.tolist() == [300 * step, -400 * step]


@pytest.mark.parametrize(("values", "dtype"), [([3e38, 4e37], torch.float32), ([3e300, 4e300], torch.float64)])
def test_a_threshold_far_below_an_exploded_gradient_is_met_exactly(values: list[float], dtype: torch.dtype):
    parameter = with_gradient(values, dtype)
    direction = torch.tensor(values, dtype=torch.float64) / math.hypot(*values)
    clip_gradients([parameter], norm=1e-5)
    torch.testing.assert_close(parameter.grad.double(), 1e-5 * direction, rtol=3e-7, atol=0)


def test_a_norm_beyond_float64_still_clips_by_its_true_value():
    parameter = with_gradient([1.5e308] * 5)
    report = clip_gradients([parameter], norm=2.0)
    assert report.total_norm == inf and report.nonfinite is None and report.clipped
    assert parameter.grad.tolist() == pytest.approx([2 / math.sqrt(5)] * 5, rel=1e-14)


def test_dtypes_are_mixed():
    parameters = [with_gradient([3e200], torch.float64), with_gradient([1.0, -7.0], torch.float32)]
    clip_gradients(parameters, norm=6.0)
    assert parameters[0].grad.item() == pytest.approx(6.0) and parameters[1].grad.tolist() == [0.0, 0.0]
    parameters = [
        with_gradient([2.0]),
        with_gradient([[4.0], [-4.0]], torch.float32),
        with_gradient([8.0], torch.bfloat16),
    ]
    report = clip_gradients(parameters, norm=5.0)
    assert (report.total_norm, report.scale) == (10.0, 0.5)
    assert [parameter.grad.tolist() for parameter in parameters] == [[1.0], [[2.0], [-2.0]], [4.0]]
    assert [parameter.grad.dtype for parameter in parameters] == [torch.float64, torch.float32, torch.bfloat16]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device to mix with the CPU")
def test_devices_are_mixed():
    parameters = [with_gradient([3.0]), Parameter(torch.ones(1, device="cuda"))]
    parameters[1].grad = torch.tensor([4.0], device="cuda")
    assert clip_gradients(parameters, norm=2.5) == ClipReport(5.0, scale=0.5, clipped=True)
    assert [parameter.grad.item() for parameter in parameters] == [1.5, 2.0]


class Tied(Module):
    """Two names for one weight."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 2, bias=False)
        self.decoder.weight = self.encoder.weight
        self.encoder.weight.grad = torch.tensor([[3.0, 0.0], [0.0, -4.0]])


def test_a_shared_parameter_counts_and_is_scaled_once():
    def ways(model: Tied):
        weights = [model.encoder.weight, model.decoder.weight]
        return [model, weights, iter(weights), [("encoder", weights[0]), ("decoder", weights[1])]]

    for way in range(4):
        model = Tied()
        report = clip_gradients(ways(model)[way], norm=1.0)
        assert (report.total_norm, report.scale) == (5.0, 0.2)
        torch.testing.assert_close(model.encoder.weight.grad, torch.tensor([[0.6, 0.0], [0.0, -0.8]]))


def test_parameters_that_share_one_gradient_tensor_count_it_once_and_are_all_skipped():
    first, second = with_gradient([3.0, 4.0]), Parameter(torch.ones(2, dtype=torch.float64))
    second.grad = first.grad
    assert clip_gradients([first, second], norm=1.0).total_norm == 5.0
    assert second.grad.tolist() == pytest.approx([0.6, 0.8])
    first.grad[0] = nan
    clip_gradients([first, second], nonfinite="skip")
    assert first.grad is None and second.grad is None


def exhausted(model: Module) -> Iterator[Parameter]:
    parameters = model.parameters()
    assert sum(parameter.numel() for parameter in parameters)
    return parameters


@pytest.mark.parametrize(
    ("empty", "cause"),
    [
        (lambda: [], "it is empty, as an iterator is that was read before: pass the module"),
        (lambda: exhausted(trained_lstm()), "it is empty, as an iterator is that was read before: pass the module"),
        (torch.nn.Tanh, "it is empty"),
        (lambda: [Parameter(torch.ones(3))], "the only one has no gradient: call backward"),
        (lambda: torch.nn.LSTM(3, 4), "none of the 4 has a gradient: call backward"),
    ],
)
@pytest.mark.parametrize("options", [{"norm": 1.0}, {"value": 1.0}, {}])
def test_no_gradient_at_all_has_norm_zero_and_gives_a_warning(empty, cause: str, options: dict[str, float]):
    with pytest.warns(UserWarning, match=f"^clip_gradients was given nothing to clip in `parameters`; {cause}") as said:
        assert clip_gradients(empty(), **options) == ClipReport(0.0)
    assert [warning.filename for warning in said] == [__file__]


@pytest.mark.parametrize("empty", [[], [Parameter(torch.ones(3))], [with_gradient(torch.ones(0, 3))]])
@pytest.mark.parametrize("options", [{"norm": 1.0}, {"value": 1.0}, {}])
def test_gradients_of_zero_have_norm_zero(empty: list[Tensor], options: dict[str, float]):
    zero = with_gradient([0.0, 0.0])
    assert clip_gradients([zero, *empty], **options) == ClipReport(0.0)
    assert zero.grad.tolist() == [0.0, 0.0]


def test_parameters_without_gradient_are_passed_over():
    frozen, moving = Parameter(torch.ones(3)), with_gradient([3.0, 4.0])
    assert clip_gradients([frozen, moving], norm=2.5).total_norm == 5.0
    assert frozen.grad is None and moving.grad.tolist() == [1.5, 2.0]
    single = with_gradient([3.0, 4.0])
    assert clip_gradients(single, norm=2.5).clipped and single.grad.tolist() == [1.5, 2.0]


def sparse_embedding() -> torch.nn.Embedding:
    """Index 1 met twice with gradients that partly cancel, so uncoalesced entries have another norm."""
    embedding = torch.nn.Embedding(7, 2, sparse=True)
    (embedding(torch.tensor([1, 4, 1])) * torch.tensor([[6.0, 1.0], [0.0, 4.0], [-3.0, -1.0]])).sum().backward()
    assert not embedding.weight.grad.is_coalesced()
    return embedding


def test_sparse_gradients_are_clipped_as_the_dense_ones_they_stand_for():
    for options in ({"norm": 2.5}, {"value": 1.0}):
        sparse, dense = sparse_embedding(), with_gradient(sparse_embedding().weight.grad.to_dense(), torch.float32)
        other = [with_gradient([0.0, 0.0]), with_gradient([0.0, 0.0])]
        report = clip_gradients([sparse.weight, other[0]], **options)
        assert report == clip_gradients([dense, other[1]], **options)
        assert report.total_norm == 5.0 and report.clipped
        assert sparse.weight.grad.is_sparse and torch.equal(sparse.weight.grad.to_dense(), dense.grad)
        assert not clip_gradients(sparse, **options).clipped


def test_a_sparse_gradient_that_is_not_clipped_stays_the_same_object():
    embedding = sparse_embedding()
    gradient = embedding.weight.grad
    assert not clip_gradients(embedding, norm=5.5).clipped
    assert embedding.weight.grad is gradient
    embedding.weight.grad = gradient * inf
    before = embedding.weight.grad
    with pytest.raises(NonFiniteError, match="'weight'"):
        clip_gradients(embedding, norm=1.0)
    assert embedding.weight.grad is before


def test_gradients_of_another_layout_are_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "Sparse CSR tensor support is in beta state"
        parameter = Parameter(torch.eye(3).to_sparse_csr())
        parameter.grad = torch.eye(3).to_sparse_csr()
    for wrong in (parameter, with_gradient([1 + 1j], torch.complex64)):
        fine = with_gradient([3.0, 4.0])
        with pytest.raises(UnsupportedError, match="'readout'.*leave this parameter out"):
            clip_gradients([("fine", fine), ("readout", wrong)], norm=1.0)
        assert fine.grad.tolist() == [3.0, 4.0]


def broken() -> dict[str, Parameter]:
    return {
        "fine": with_gradient([3.0, -4.0, 5.0]),
        "frozen": Parameter(torch.ones(2)),
        "weight_hh": with_gradient([[1.0, nan, 2.0], [inf, -inf, inf]], torch.float32),
        "later": with_gradient([nan]),
    }


@pytest.mark.parametrize("options", [{"norm": 1.0}, {"value": 1.0}, {}])
def test_raise_names_the_first_parameter_and_leaves_everything_as_it_was(options: dict[str, float]):
    parameters = broken()
    with pytest.raises(
        NonFiniteError, match="'weight_hh' has 1 NaN and 3 infinite entries among 6; .*nonfinite='skip'"
    ):
        clip_gradients(parameters.items(), **options)
    for name, parameter in broken().items():
        torch.testing.assert_close(parameters[name].grad, parameter.grad, rtol=0, atol=0, equal_nan=True)
    with pytest.raises(NonFiniteError, match=r"'parameters\[2\]' has 1 NaN"):
        clip_gradients(parameters.values(), **options)


@pytest.mark.parametrize("options", [{"norm": 1.0}, {"value": 1.0}, {}])
def test_report_changes_nothing_where_torch_would_spread_nan(options: dict[str, float]):
    parameters = broken()
    report = clip_gradients(parameters.items(), nonfinite="report", **options)
    assert report.nonfinite == "The gradient of 'weight_hh' has 1 NaN and 3 infinite entries among 6."
    assert not report.clipped and not report.skipped and report.scale == 1.0 and not math.isfinite(report.total_norm)
    for name, parameter in broken().items():
        torch.testing.assert_close(parameters[name].grad, parameter.grad, rtol=0, atol=0, equal_nan=True)
    torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0)
    assert parameters["fine"].grad.isnan().all()


@pytest.mark.parametrize("options", [{"norm": 1.0}, {"value": 1.0}, {}])
def test_skip_leaves_an_optimiser_nothing_to_move(options: dict[str, float]):
    parameters = broken()
    optimizer = torch.optim.AdamW(parameters.values(), lr=1.0, weight_decay=0.5)
    report = clip_gradients(parameters.items(), nonfinite="skip", **options)
    assert report.skipped and not report.clipped and report.nonfinite is not None and "'weight_hh'" in report.nonfinite
    optimizer.step()
    for parameter in parameters.values():
        assert parameter.grad is None and torch.equal(parameter.data, torch.ones_like(parameter))


@pytest.mark.parametrize("bad", [inf, -inf, nan])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_every_kind_of_nonfinite_entry_is_found_beside_huge_ones(bad: float, dtype: torch.dtype):
    huge = with_gradient([torch.finfo(dtype).max] * 3, dtype)
    report = clip_gradients([huge, with_gradient([1.0, bad, 0.0], dtype)], norm=1.0, nonfinite="report")
    kind = "1 NaN and 0 infinite" if math.isnan(bad) else "0 NaN and 1 infinite"
    assert report.nonfinite == f"The gradient of 'parameters[1]' has {kind} entries among 3."


def test_the_tap_adds_layer_step_and_row():
    tap = Tap(("rnn.l0", 17, 2))
    where = r"among 6, met first in layer 'rnn\.l0' at time step 17, batch row 2 \(counted from 0\)"
    with pytest.raises(NonFiniteError, match=where + "; gradients must"):
        clip_gradients(broken().items(), tap=tap)
    for mode in ("skip", "report"):
        report = clip_gradients(broken().items(), nonfinite=mode, tap=tap)
        assert report.nonfinite is not None and report.nonfinite.endswith("batch row 2 (counted from 0).")
    silent = clip_gradients(broken().items(), nonfinite="report", tap=Tap(None))
    assert silent.nonfinite is not None and silent.nonfinite.endswith("among 6.")


def test_the_tap_is_not_asked_while_all_is_finite():
    assert clip_gradients(trained_lstm(), norm=1e-3, tap=Tap(("rnn.l0", 17, 2))).nonfinite is None


@pytest.mark.parametrize("name", ["norm", "value"])
@pytest.mark.parametrize("threshold", [0, 0.0, -1.0, nan, -inf])
def test_thresholds_that_are_not_above_zero_are_refused(name: str, threshold: float):
    parameter = with_gradient([3.0, 4.0])
    with pytest.raises(
        ArgumentError, match=f"^{name} is {threshold}; it must be a number above 0, or None for no clipping$"
    ):
        clip_gradients([parameter], **{name: threshold})
    assert parameter.grad.tolist() == [3.0, 4.0]


@pytest.mark.parametrize("name", ["norm", "value"])
@pytest.mark.parametrize("threshold", ["1", True, [1.0], torch.ones(1), 1 + 0j])
def test_thresholds_that_are_no_numbers_are_refused(name: str, threshold):
    came = re.escape(repr(threshold))
    with pytest.raises(
        ArgumentError, match=f"^{name} is {came}; it must be a number above 0, or None for no clipping$"
    ):
        clip_gradients([with_gradient([3.0, 4.0])], **{name: threshold})


@pytest.mark.parametrize("kind", [int, np.float32, np.float64, np.int64, Fraction, torch.tensor])
def test_thresholds_may_be_numbers_of_any_kind(kind):
    parameter = with_gradient([3.0, -4.0])
    report = clip_gradients([parameter], norm=kind(1))
    assert report == ClipReport(5.0, scale=0.2, clipped=True) and type(report.scale) is float
    assert clip_gradients([with_gradient([3.0, -4.0])], value=kind(1)) == ClipReport(5.0, clipped=True)


def test_an_infinite_threshold_never_clips():
    parameter = with_gradient([3e300, 4e300])
    assert not clip_gradients([parameter], norm=inf).clipped
    assert not clip_gradients([parameter], value=inf).clipped


def test_other_misuse_is_refused_by_name():
    parameter = with_gradient([3.0])
    with pytest.raises(ArgumentError, match="^norm is 1.0 and value is 2.0; only one of them can be given: clip twice"):
        clip_gradients([parameter], norm=1.0, value=2.0)
    with pytest.raises(ArgumentError, match="^nonfinite is 'ignore'; it must be 'raise', 'skip' or 'report'$"):
        clip_gradients([parameter], nonfinite="ignore")
    for wrong in ([parameter, "weight"], [parameter, (parameter, "weight")], [parameter, None]):
        with pytest.raises(ArgumentError, match=r"parameters\[1\] is a .*module.named_parameters\(\)"):
            clip_gradients(wrong)
    with pytest.raises(ArgumentError, match=r"parameters\[0\] is a dict"):
        clip_gradients([{"params": [parameter]}])
    for wrong in (torch.optim.SGD([parameter], lr=0.1), 3, None):
        kind = type(wrong).__name__
        with pytest.raises(
            ArgumentError, match=f"^parameters is a {kind}; it must be a module, or tensors: pass the mod"
        ):
            clip_gradients(wrong, norm=1.0)
