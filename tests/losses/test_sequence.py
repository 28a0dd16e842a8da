"""One step's loss over a sequence: which steps count, how they are reduced, what is refused."""

import itertools

import pytest
import torch
from torch import Tensor

from throughtime.errors import ArgumentError
from throughtime.losses import bernoulli, cross_entropy, sequence_loss, softmax_squared_error, squared_error

T, B, K = 7, 5, 3
LENGTHS = [4, 0, 7, 1, 3]
BUILT_IN = [cross_entropy, softmax_squared_error, squared_error, bernoulli]


def quartic(predictions: Tensor, targets: Tensor) -> Tensor:
    """A user's loss that is not symmetric in its features."""
    return ((predictions - targets) ** 4 * torch.arange(1, predictions.shape[-1] + 1)).sum(-1)


def features(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    predictions = torch.randn(T, B, K, generator=generator, dtype=dtype)
    targets = torch.rand(T, B, K, generator=generator, dtype=dtype)
    return predictions, targets / targets.sum(-1, keepdim=True)


def prefix_mask() -> Tensor:
    return torch.tensor([[t < length for length in LENGTHS] for t in range(T)])


def holey_mask() -> Tensor:
    """No row is a prefix, row 1 has no valid step, and the last valid steps differ."""
    rows = [[1, 0, 1, 0, 1, 0, 0], [0] * 7, [0, 1, 1, 0, 0, 1, 1], [0, 0, 0, 1, 0, 0, 0], [0, 1, 0, 1, 0, 1, 0]]
    return torch.tensor(rows, dtype=torch.bool).T


def loop_loss(predictions: Tensor, targets: Tensor, mask: Tensor, reduction: str, steps: str) -> Tensor:
    """The same by a loop over sequences and steps, from the user's loss of one step at a time."""
    table, counted = predictions.new_zeros(T, B), []
    for row in range(B):
        valid = [t for t in range(T) if mask[t, row]]
        for t in valid[-1:] if steps == "last" else valid:
            counted.append(quartic(predictions[t : t + 1, row], targets[t : t + 1, row])[0])
            table[t, row] = counted[-1]
    if reduction == "none":
        return table
    total = torch.stack(counted).sum()
    return total / len(counted) if reduction == "mean" else total


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("steps", ["all", "last"])
@pytest.mark.parametrize("mask", [prefix_mask(), holey_mask()], ids=["prefix", "holes"])
def test_masks_agree_with_a_loop_over_sequences(mask: Tensor, steps: str, reduction: str):
    predictions, targets = features()
    predictions.requires_grad_()
    weight = torch.linspace(0.5, 2.0, T * B, dtype=torch.float64).reshape(T, B) if reduction == "none" else 1.0
    actual = sequence_loss(quartic, predictions, targets, mask=mask, reduction=reduction, steps=steps)
    expected = loop_loss(predictions, targets, mask, reduction, steps)
    torch.testing.assert_close(actual, expected, rtol=1e-13, atol=0)
    gradient = torch.autograd.grad((actual * weight).sum(), predictions)[0]
    torch.testing.assert_close(
        gradient, torch.autograd.grad((expected * weight).sum(), predictions)[0], rtol=1e-13, atol=0
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("steps", ["all", "last"])
@pytest.mark.parametrize("lengths", [LENGTHS, torch.tensor(LENGTHS, dtype=torch.int32)], ids=["list", "int32"])
def test_lengths_are_the_mask_of_prefixes(lengths, steps: str, reduction: str):
    options = {"reduction": reduction, "steps": steps}
    actual = sequence_loss(quartic, *features(), lengths=lengths, **options)
    assert torch.equal(actual, sequence_loss(quartic, *features(), mask=prefix_mask(), **options))


def test_without_mask_every_step_counts_and_the_mean_divides_by_all_of_them():
    predictions, targets = features()
    per_step = quartic(predictions, targets)
    assert torch.equal(sequence_loss(quartic, predictions, targets, reduction="none"), per_step)
    torch.testing.assert_close(sequence_loss(quartic, predictions, targets), per_step.sum() / (T * B))
    torch.testing.assert_close(sequence_loss(quartic, predictions, targets, reduction="sum"), per_step.sum())
    torch.testing.assert_close(sequence_loss(quartic, predictions, targets, steps="last"), per_step[-1].mean())


def test_batch_first_tensors_with_a_transposed_mask_give_the_same_loss():
    predictions, targets = features()
    transposed = predictions.transpose(0, 1), targets.transpose(0, 1)
    actual = sequence_loss(quartic, *transposed, mask=holey_mask().T)
    torch.testing.assert_close(actual, sequence_loss(quartic, predictions, targets, mask=holey_mask()))


@pytest.mark.parametrize("loss", BUILT_IN)
@pytest.mark.parametrize("steps", ["all", "last"])
@pytest.mark.parametrize("rubbish", [float("nan"), float("inf"), -float("inf")])
def test_padding_is_inert_whatever_stands_in_it(loss, steps: str, rubbish: float):
    predictions, targets = features()
    clean = predictions.clone().requires_grad_()
    expected = loss(clean, targets, mask=holey_mask(), steps=steps)
    padding = ~holey_mask()
    predictions[padding], targets[padding] = rubbish, rubbish
    predictions.requires_grad_()
    actual = loss(predictions, targets, mask=holey_mask(), steps=steps)
    assert actual.isfinite() and torch.equal(actual, expected)
    gradient = torch.autograd.grad(actual, predictions)[0]
    assert torch.equal(gradient[padding], torch.zeros(int(padding.sum()), K, dtype=torch.float64))
    assert torch.equal(gradient, torch.autograd.grad(expected, clean)[0])


@pytest.mark.parametrize("loss", BUILT_IN)
def test_a_sum_over_no_step_is_zero_and_a_mean_is_refused(loss):
    predictions, targets = features()
    predictions[:] = float("nan")
    predictions.requires_grad_()
    total = loss(predictions, targets, lengths=[0] * B, reduction="sum")
    assert total.item() == 0.0
    assert torch.equal(torch.autograd.grad(total, predictions)[0], torch.zeros(T, B, K, dtype=torch.float64))
    assert torch.equal(loss(predictions, targets, lengths=[0] * B, reduction="none"), torch.zeros(T, B))
    for steps in ("all", "last"):
        with pytest.raises(ArgumentError, match="no valid step"):
            loss(predictions, targets, lengths=[0] * B, steps=steps)


def test_rows_without_a_valid_step_do_not_enter_the_mean_of_last_steps():
    predictions, targets = features()
    last = [
        quartic(predictions[length - 1, row], targets[length - 1, row]) for row, length in enumerate(LENGTHS) if length
    ]
    actual = sequence_loss(quartic, predictions, targets, lengths=LENGTHS, steps="last")
    torch.testing.assert_close(actual, torch.stack(last).sum() / 4)


def test_without_a_batch_a_row_alone_gives_its_own_loss():
    predictions, targets = features()
    for mask, steps in itertools.product((None, holey_mask()[:, 4]), ("all", "last")):
        alone = sequence_loss(quartic, predictions[:, 4], targets[:, 4], mask=mask, steps=steps, batched=False)
        column = None if mask is None else mask[:, None]
        torch.testing.assert_close(
            alone, sequence_loss(quartic, predictions[:, 4:], targets[:, 4:], mask=column, steps=steps)
        )
    per_step = sequence_loss(
        quartic, predictions[:, 4], targets[:, 4], lengths=torch.tensor(3), reduction="none", batched=False
    )
    assert per_step.shape == (T,) and per_step.count_nonzero() == 3
    for loss in BUILT_IN:
        torch.testing.assert_close(
            loss(predictions[:, 4], targets[:, 4], lengths=torch.tensor(3)),
            loss(predictions[:, 4:], targets[:, 4:], lengths=[3]),
        )


@pytest.mark.parametrize("loss", BUILT_IN)
@pytest.mark.parametrize(("dtype", "epsilon"), [(torch.float32, 1e-6), (torch.bfloat16, 2**-7)])
def test_lower_precision_stays_in_its_dtype_and_near_float64(loss, dtype: torch.dtype, epsilon: float):
    predictions, targets = (tensor.to(dtype) for tensor in features())
    reference = loss(predictions.double(), targets.double(), lengths=LENGTHS)
    actual = loss(predictions, targets, lengths=LENGTHS)
    assert actual.dtype == dtype
    torch.testing.assert_close(actual.double(), reference, rtol=epsilon, atol=0)
    per_step = loss(predictions, targets, lengths=LENGTHS, reduction="none")
    assert per_step.dtype == dtype


@pytest.mark.parametrize("loss", BUILT_IN)
@pytest.mark.parametrize("steps", ["all", "last"])
def test_first_and_second_derivatives_against_central_differences(loss, steps: str):
    predictions, targets = features()

    def masked(predictions: Tensor) -> Tensor:
        return loss(predictions, targets, mask=holey_mask(), reduction="none", steps=steps)[[0, 3, 6]]

    predictions.requires_grad_()
    assert torch.autograd.gradcheck(masked, predictions)
    assert torch.autograd.gradgradcheck(masked, predictions)


@pytest.mark.parametrize("loss", BUILT_IN)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_function_transform_gives_the_same_gradient(loss, reduction: str):
    predictions, targets = features()

    def scalar(predictions: Tensor) -> Tensor:
        return loss(predictions, targets, lengths=LENGTHS, reduction=reduction)

    leaf = predictions.clone().requires_grad_()
    expected = torch.autograd.grad(scalar(leaf), leaf)[0]
    # σ − y cancels, so an entry is exact only to the rounding of the numbers below one that it is the difference of.
    torch.testing.assert_close(torch.func.grad(scalar)(predictions), expected, rtol=1e-14, atol=1e-16)
    stacked = torch.stack([predictions, 2 * predictions])
    per_member = torch.func.vmap(torch.func.grad(scalar))(stacked)
    torch.testing.assert_close(per_member[0], expected, rtol=1e-14, atol=1e-16)
    torch.testing.assert_close(per_member[1], torch.func.grad(scalar)(2 * predictions), rtol=1e-14, atol=1e-16)


REFUSED = {
    "mask and lengths": (
        {"mask": prefix_mask(), "lengths": LENGTHS},
        "^mask came together with `lengths`; .*: give only one",
    ),
    "transposed mask": ({"mask": prefix_mask().T}, r"^mask has the shape \(5, 7\); it must be \(7, 5\)"),
    "mask to broadcast": ({"mask": prefix_mask()[:, :1]}, r"^mask has the shape \(7, 1\); it must be \(7, 5\)"),
    "float mask": ({"mask": prefix_mask().float()}, "^mask has the dtype torch.float32; it must be torch.bool"),
    "float lengths": (
        {"lengths": torch.tensor(LENGTHS) * 1.0},
        "^lengths has the dtype torch.float32; it must hold integers",
    ),
    "bool lengths": (
        {"lengths": torch.ones(B, dtype=torch.bool)},
        "^lengths has the dtype torch.bool; it must hold integers",
    ),
    "too few lengths": ({"lengths": LENGTHS[:1]}, r"^lengths has the shape \(1,\); it must be \(5,\)"),
    "length above T": ({"lengths": [4, 0, 8, 1, 3]}, "^lengths holds 8; it must hold numbers from 0 to 7"),
    "negative length": ({"lengths": [4, -1, 7, 1, 3]}, "^lengths holds -1; it must hold numbers from 0 to 7"),
    "reduction": ({"reduction": "average"}, "^reduction is 'average'; it must be 'mean', 'sum' or 'none'"),
    "steps": ({"steps": "first"}, "^steps is 'first'; it must be 'all' or 'last'"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("loss", [*BUILT_IN, None])
def test_options_that_do_not_fit_are_refused_by_name(loss, case: str):
    options, message = REFUSED[case]
    with pytest.raises(ArgumentError, match=message):
        if loss is None:
            sequence_loss(quartic, *features(), **options)
        else:
            loss(*features(), **options)


def test_tensors_that_do_not_fit_are_refused_by_name():
    predictions, targets = features()
    with pytest.raises(
        ArgumentError, match=r"^targets has the shape \(7, 1, 3\); it must be .*\(7, 5\) of the predictions: give"
    ):
        sequence_loss(quartic, predictions, targets[:, :1])
    with pytest.raises(
        ArgumentError, match=r"^predictions has the shape \(7,\); it must be \[T, B, …\]: give batched=False"
    ):
        sequence_loss(quartic, predictions[:, 0, 0], targets[:, 0, 0])
    with pytest.raises(ArgumentError, match=r"^predictions has the shape \(\); it must be \[T, …\]$"):
        sequence_loss(quartic, predictions[0, 0, 0], targets[0, 0, 0], batched=False)


def test_a_user_loss_that_does_not_give_one_number_per_step_is_refused():
    predictions, targets = features()
    with pytest.raises(
        ArgumentError, match=r"^per_step_loss returned the shape \(15, 3\) for 15 steps; it must return \[15\]"
    ):
        sequence_loss(torch.nn.MSELoss(reduction="none"), predictions, targets, lengths=LENGTHS)
    with pytest.raises(ArgumentError, match=r"^per_step_loss returned the shape \(\) for 35 steps"):
        sequence_loss(torch.nn.MSELoss(), predictions, targets)


def test_a_user_loss_sees_the_valid_steps_only():
    predictions, targets = features()
    seen = []

    def spy(predictions: Tensor, targets: Tensor) -> Tensor:
        seen.append((predictions, targets))
        return quartic(predictions, targets)

    sequence_loss(spy, predictions, targets, mask=holey_mask())
    assert torch.equal(seen[0][0], predictions[holey_mask()]) and torch.equal(seen[0][1], targets[holey_mask()])
