"""The exact gradient of a whole model, with only the states between segments kept."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from torch import Tensor, nn

from throughtime.errors import ArgumentError, UnsupportedError
from throughtime.gradients.budget import bytes_of
from throughtime.gradients.checkpointed import check_division
from throughtime.gradients.schedule import Plan, plan_for
from throughtime.inference_mode import records_graphs
from throughtime.layers.base import RecurrentLayer
from throughtime.models.pieces import sliced, spooled, steps_of
from throughtime.models.segments import Loss, Model, SegmentRunner

Reduction = Literal["mean", "sum"]

TRIAL = 16
"""The largest number of steps of the shorter of two trials that show what autograd saves of a step."""


@dataclass(frozen=True)
class WholeBackward:
    """Result of `checkpointed_backward`.

    Attributes:
        loss: of all steps, detached.
        state: the model's state after the last step, detached.
        d_state: ∂loss/∂(the state passed in), in its form, zero where nothing depends on it; None for its tensors that
            require no gradient.
    """

    loss: Tensor
    state: Any
    d_state: Any


@records_graphs
def checkpointed_backward(
    model: Model,
    loss: Loss,
    x: Any,
    y: Any = None,
    *,
    state: Any = None,
    segments: int | None = None,
    memory: int | str | None = None,
    reduction: Reduction = "mean",
    say: Callable[[str], object] | None = None,
) -> WholeBackward:
    """Run `loss(model(x)).backward()` over any number of steps in the memory of a few segments.

    The steps are run segment by segment, and only states between segments are kept. From the last segment to the first
    each segment is then run again, with its part of the loss, and gone back through. The gradient is exact. Gradients
    are added to `.grad` of every tensor that backward() would reach, all at the end: after an exception `.grad` is as
    before.

    Args:
        model: (a segment of x, the state that enters it) → (its output, the state that leaves it). The first state is
            `state`; the others are what the model returned, detached: a tensor, or tensors in tuples, lists, dicts and
            dataclasses. Such a model is a `tt.LSTM`, or a function of a segment and a state around several modules.
        loss: (the output of a segment, the segment of y) → a number.
        x, y: time first; tensors, arrays, memory-mapped files, or anything that has a len and can be sliced by [a:b].
            Or x is an iterator of chunks, or of pairs (x, y) with y=None, which is read once, to its end, into
            temporary files; each chunk is then a segment.
        state: the state before the first step, in the model's form. What it was computed from gets no gradient here:
            pass `d_state` on, h_0.backward(result.d_state).
        segments, memory: as in `CheckpointedBPTT`, for what autograd saves of this model, which a short trial shows.
            The temporary memory of a segment's backward pass, often as much again, is not counted.
        reduction: whether `loss` takes the "mean" over the steps that it is given, or the "sum". A mean over some of
            the steps only (ignore_index, a mask) is neither, as segments have different shares: sum up, and divide by
            the number in `loss` itself.
        say: called with a line that says what is planned, before the work starts; print, for example.

    The model must give the same again when it is run again: torch's random numbers (on the CPU and CUDA) are drawn
    again as before, but buffers that a forward pass changes (the statistics of batch normalization) are refused, and
    the model may keep no other state that changes. Hooks that wait for `.grad` of a parameter, as those of distributed
    training, are not called, and a tap sees a single segment at a time.

    Raises:
        ArgumentError: before any work, for arguments that do not fit together, and a memory that is too small.
        UnsupportedError: for a model whose forward pass changes its buffers (which are restored), a module that has
            bidirectional layers or batch_first, and a random loss. In a function these are not seen.

    Cost: a forward pass of the model more than backward(). Do not use it where backward() fits.

    Examples:
        >>> lstm, readout = tt.LSTM(3, 8), torch.nn.Linear(8, 5)
        >>> def model(x, state):
        ...     h, state = lstm(x, state)
        ...     return readout(h), state
        >>> x, y = torch.randn(1000, 2, 3), torch.randn(1000, 2, 5)
        >>> result = checkpointed_backward(model, torch.nn.functional.mse_loss, x, y, segments=10)
        >>> result.loss.shape, lstm.weight_hh_l0.grad.shape
        (torch.Size([]), torch.Size([32, 8]))
    """
    check_division(segments, memory)
    if reduction not in get_args(Reduction):
        raise ArgumentError("reduction", f"is {reduction!r}", "it must be 'mean' or 'sum', as the loss takes it")
    _check_direction(model)
    runner = SegmentRunner(model, loss, state, reduction == "mean")
    say = say or (lambda _: None)
    if isinstance(x, Iterator):
        _refuse_division(segments, memory)
        with spooled(x, y) as pieces:
            say(f"{pieces.steps} steps in {len(pieces)} segments, as they came")
            runner.run(pieces, len(pieces) - 1)
    else:
        steps = steps_of(x, y)
        plan = _planned(runner, x, y, steps, segments, memory)
        say(str(plan))
        runner.run(sliced(x, y, steps, plan.segment_steps), plan.slots)
    assert runner.total is not None and runner.end is not None
    return WholeBackward(runner.total, runner.end.state, runner.d_state())


def _check_direction(model: Model) -> None:
    """Refuse layers that do not go through the segments from first to last."""
    if not isinstance(model, nn.Module):
        return
    for name, module in model.named_modules():
        if isinstance(module, RecurrentLayer | nn.RNNBase) and vars(module).get("bidirectional"):
            raise UnsupportedError(
                f"model's layer {name or 'itself'} is bidirectional; its second direction would begin anew at the end "
                "of every segment: use CheckpointedBPTT as its gradient method"
            )
    if vars(model).get("batch_first"):
        raise UnsupportedError(
            "model has batch_first=True, and segments are cut from the first dimension: give time "
            "first, to a layer with batch_first=False"
        )


def _refuse_division(segments: int | None, memory: int | str | None) -> None:
    for name, value in (("segments", segments), ("memory", memory)):
        if value is not None:
            raise ArgumentError(
                name,
                f"is {value!r} and x an iterator",
                "each chunk of an iterator is a segment",
                f"leave {name} out, or make the chunks longer or shorter",
            )


def _planned(runner: SegmentRunner, x: Any, y: Any, steps: int, segments: int | None, memory: int | str | None) -> Plan:
    """Choose the segments, from what autograd saves of a step in two trials, the second twice as long.

    Their difference leaves out what is saved once for any number of steps.
    """
    few = max(1, min(TRIAL, steps // 2))
    state_bytes, shorter = runner.saved_bytes(sliced(x, y, min(few, steps), few))
    _, longer = runner.saved_bytes(sliced(x, y, min(2 * few, steps), 2 * few))
    step_bytes = max(1, (longer - shorter) // few if steps > 1 else shorter)
    if segments is None:
        return plan_for(steps, state_bytes, step_bytes, None if memory is None else bytes_of(memory), runs_on=False)
    length = -(-steps // segments)
    return Plan(steps, length, -(-steps // length) - 1, state_bytes, step_bytes, runs_on=False)
