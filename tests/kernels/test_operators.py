"""The operators' arguments, which nobody has checked before: each that does not fit is named in a sentence."""

from typing import Any

import pytest
import torch

from throughtime.errors import ArgumentError
from throughtime.kernels import native, operators

pytestmark = pytest.mark.skipif(native.library() is None, reason="the compiled kernels are not installed")

T, B, INPUT, HIDDEN = 5, 3, 2, 4
LENGTHS = torch.tensor([5, 3, 1])


def of(**changed: Any) -> dict[str, Any]:
    """Arguments of an Elman cell over padded rows, but for what is changed."""
    weights = [torch.randn(HIDDEN, INPUT), torch.randn(HIDDEN, HIDDEN)]
    right = {
        "name": "elman_tanh",
        "x": torch.randn(T, B, INPUT),
        "initial": [torch.randn(B, HIDDEN)],
        "reset_state": [],
        "weights": weights,
        "lengths": LENGTHS,
        "resets": None,
        "batch_sizes": None,
        "reverse": False,
        "save": "gates",
        "clip_step": 0.0,
    }
    return right | changed


def packed(**changed: Any) -> dict[str, Any]:
    return of(**{"x": torch.randn(9, INPUT), "batch_sizes": torch.tensor([3, 2, 2, 1, 1])} | changed)


def indices(**changed: Any) -> dict[str, Any]:
    return of(**{"x": torch.zeros(T, B, dtype=torch.long)} | changed)


def cut_short(tensor: torch.Tensor) -> torch.Tensor:
    tensor.untyped_storage().resize_(8)
    return tensor


def resets(*shape: int) -> dict[str, Any]:
    return {"resets": torch.zeros(shape, dtype=torch.bool), "reset_state": [torch.zeros(B, HIDDEN)]}


REFUSED = {
    "batch sizes of other lengths": (packed(batch_sizes=torch.tensor([3, 3, 1, 1, 1])), "^batch_sizes differ"),
    "batch sizes below zero": (packed(batch_sizes=-torch.tensor([3, 2, 2, 1, 1])), "^batch_sizes differ"),
    "batch sizes of int32": (packed(batch_sizes=torch.ones(T, dtype=torch.int32)), "^batch_sizes is torch.int32"),
    "batch sizes cut short": (packed(batch_sizes=cut_short(torch.ones(T).long())), "^batch_sizes has a storage of 8"),
    "packed without lengths": (packed(lengths=None), "^lengths are None; rows that are packed"),
    "packed without lengths, with resets": (packed(lengths=None, **resets(T, B)), "^lengths are None"),
    "packed with flat resets": (packed(**resets(9)), r"^resets is torch.bool \(9,\)"),
    "more columns of indices": (indices(x=torch.zeros(T, 2, dtype=torch.long)), "^x has 2 rows; the initial state"),
    "fewer lengths than rows": (indices(lengths=torch.tensor([5, 3])), r"^lengths is torch.int64 \(2,\)"),
    "indices cut short": (indices(x=cut_short(torch.zeros(T, B, dtype=torch.long))), "^input has a storage of 8"),
    "lengths cut short": (indices(lengths=cut_short(torch.full((B,), 5))), "^lengths has a storage of 8"),
    "x without values": (of(x=torch.zeros(T, B, INPUT, device="meta")), "^the tensors are on cpu and meta; .* same"),
    "masks without values": (packed(batch_sizes=torch.ones(T, device="meta")), "^the tensors are on cpu and meta"),
    "a name that is part of one": (
        of(name="elman_tanh_forward", lengths=LENGTHS.to("meta")),
        "^name is 'elman_tanh_forward'; no cell",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_named(case: str):
    arguments, message = REFUSED[case]
    with pytest.raises(ArgumentError, match=message):
        operators.recurrence(**arguments)


@pytest.mark.parametrize("where", ["batch_sizes", "d_outputs"])
def test_the_backward_pass_asks_the_same(where: str):
    arguments = packed()
    y, final = operators.recurrence(**arguments)
    arguments |= {"trace": [y], "d_outputs": torch.ones_like(y), "d_final": [torch.ones_like(final)]}
    operators.recurrence_backward(**arguments)
    wrong = torch.ones(T).long() if where == "batch_sizes" else torch.ones_like(y, device="meta")
    with pytest.raises(ArgumentError, match="^batch_sizes differ|^the tensors are on cpu and meta"):
        operators.recurrence_backward(**arguments | {where: wrong})
