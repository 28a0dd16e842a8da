"""Whether an answer is right: an error must be a sentence, a value must be the reference's.

A judgement is RIGHT, begins with SENTENCE, or says what is wrong.
"""

import traceback
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from fuzz.forms import NoValues, plain
from torch import Tensor

import throughtime
from throughtime.errors import ThroughtimeError

RIGHT, SENTENCE = "right", "sentence: "

REFUSED = "refused"
"""The reference has no answer, so that only an error is right."""

TOLERANCE = {torch.float64: 1e-9, torch.float32: 2e-4, torch.float16: 3e-2, torch.bfloat16: 2e-1}
"""Of values of about 1, relative to the largest; of the half types a sum's roundings differ with its order."""

OURS = str(Path(throughtime.__file__).parent)


def attempt(call: Callable[[], Any]) -> Any:
    """What the call returns, or raises."""
    try:
        return call()
    except Exception as error:
        return error


def is_fault(judgement: str) -> bool:
    """Whether it is neither a right value nor a sentence."""
    return judgement != RIGHT and not judgement.startswith(SENTENCE)


def of_error(error: BaseException) -> str:
    """The judgement of an error: a sentence is ours, one of torch's operators, or comes from torch's code alone."""
    sentence = f"{SENTENCE}{type(error).__name__}: {str(error)[:200]}"
    if isinstance(error, ThroughtimeError | MemoryError):
        return sentence
    frames = traceback.extract_tb(error.__traceback__)
    place = next((f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames) if f.filename.startswith(OURS)), "")
    text = f"{type(error).__name__} at {place}: {str(error)[:300]}"
    if "INTERNAL ASSERT" in str(error) or not str(error):
        return text
    return sentence if not place or type(error) in (RuntimeError, NotImplementedError) else text


def of_results(
    ours: dict[str, Tensor],
    expected: Any,
    dtype: torch.dtype,
    *,
    only_shapes: bool = False,
    may_lack: Collection[str] = (),
    infinity_may_be_nan: bool = False,
    selected: Mapping[str, Tensor] | None = None,
    may_overflow: bool = False,
) -> str:
    """The judgement of results by name.

    Args:
        ours, expected: the results.
        dtype: of the recurrence.
        only_shapes: compare no values.
        may_lack: results that may be missing.
        infinity_may_be_nan: whether NaN is as right as an infinity, and the reverse.
        selected: results that may have these values where the expected ones are NaN, see selecting.py.
        may_overflow: whether sums of finite numbers may overflow. Whether that is ∞ − ∞ depends on the order of the sum
            and on whether a product is rounded before it is added, so that no values are compared once one is not
            finite.
    """
    if expected is REFUSED:
        return "an answer where the reference has none"
    only_shapes = only_shapes or may_overflow and not all(map(_is_finite, (*ours.values(), *expected.values())))
    for name, right in expected.items():
        if name not in ours and name in may_lack:
            continue
        if name not in ours:
            return f"{name} is missing"
        fault = _difference(ours[name], right, dtype, only_shapes, infinity_may_be_nan, (selected or {}).get(name))
        if fault:
            return f"{name} {fault}"
    return RIGHT


def _is_finite(value: Tensor) -> bool:
    try:
        return bool(plain(value).isfinite().all())
    except NoValues:
        return True


def _difference(
    value: Tensor,
    right: Tensor,
    dtype: torch.dtype,
    only_shapes: bool,
    infinity_may_be_nan: bool,
    selected: Tensor | None,
) -> str | None:
    if value.shape != right.shape or value.dtype != right.dtype:
        return f"is {value.dtype} {tuple(value.shape)}, not {right.dtype} {tuple(right.shape)}"
    if only_shapes:
        return None
    try:
        value, right = plain(value), plain(right)
    except NoValues as error:
        return f"has no values: {error}"
    wide = torch.complex128 if right.is_complex() else torch.float64
    value, right = value.to(wide), right.to(wide)
    if selected is not None:
        right = torch.where(right.isnan() & ~value.isnan(), selected.to(wide), right)
    finite = right.isfinite()
    if not torch.equal(value.isfinite(), finite):
        return "is finite elsewhere"
    if not infinity_may_be_nan and not torch.equal(value.isnan(), right.isnan()):
        return "is NaN elsewhere"
    infinite = value.isinf() & right.isinf()
    if not torch.equal(value[infinite], right[infinite]):
        return "is an infinity of the other sign"
    value, right = value[finite], right[finite]
    scale = max(1.0, float(right.abs().max())) if len(right) else 1.0
    off = float((value - right).abs().max()) if len(right) else 0.0
    return None if off <= TOLERANCE.get(dtype, 1e-9) * scale else f"is off by {off:.2g} of {scale:.2g}"
