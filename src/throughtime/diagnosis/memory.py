"""Measure which past a model uses, and which it leaves unused, by its loss."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from throughtime.data.streams import Chunk
from throughtime.diagnosis.targets import Loss, Targets, grouped, standard_error
from throughtime.diagnosis.unused import unused_gains
from throughtime.records import Context, Memory

TARGETS, MORE_TARGETS = 256, 2048
"""The most predictions that are made again with shorter pasts, and that show what is unused."""

Forward = Callable[[Chunk], Tensor]
"""Function from a chunk to the model's outputs [time, batch, …], from a zero state."""


def memory_of(
    forward: Forward, loss: Loss, entered: Callable[[Tensor], Tensor], chunk: Chunk, naive: float | None
) -> Memory | None:
    """Measure which past a model uses, and which it leaves unused.

    *Used*: each prediction is made again from a zero state k steps before it. The smallest k from which on the loss is
    that with the whole past is the memory that the model uses.

    *Unused*: does a linear term of the inputs at lag k lower the loss? This is the score test for omitted variables:
    such a term is fitted to the gradient of the loss by the outputs, on three quarters of the series, and the loss is
    measured on the rest (see `unused_gains`).

    Args:
        forward: the model.
        loss: the loss.
        entered: from inputs [time, batch, …] to the numbers [time, batch, features] that enter the recurrent layers.
        chunk: windows of the data, on the CPU; each row begins with a zero state.
        naive: the loss of the best naive prediction; None: there is none.

    Returns:
        None where no target counts or a loss is not finite.

    Cost: about 1,200 T'/128 forward steps of 512 rows, for pasts of up to T' steps, and products of 16 numbers
    with the outputs for each target and lag.
    """
    targets, more = Targets.of(chunk, TARGETS), Targets.of(chunk, MORE_TARGETS)
    if not len(targets):
        return None
    with torch.no_grad():
        every = forward(chunk).cpu()
        outputs = targets.pick(every)
        whole = float(loss(outputs, targets.gathered))
        if not math.isfinite(whole):
            return None
        contexts = [_context(forward, loss, targets, outputs, steps) for steps in _lengths(targets)]
        features = entered(chunk.inputs).cpu().float()
    unused = unused_gains(loss, more.pick(every), features, more)
    finite = all(math.isfinite(entry.loss) for entry in contexts) and all(math.isfinite(band.gain) for band in unused)
    known = naive if naive is not None and math.isfinite(naive) else None
    return Memory(len(targets), whole, known, targets.longest, contexts, unused) if finite else None


def _lengths(targets: Targets) -> list[int]:
    """Return the pasts to measure: 1, 2, 3, 4, 6, 8, 11, 16, …, up to the longest that is shorter than a target's."""
    lengths = {round(2 ** (power / 2)) for power in range(2 * targets.longest.bit_length())}
    return sorted(length for length in lengths if length < targets.longest)


def _context(forward: Forward, loss: Loss, targets: Targets, outputs: Tensor, steps: int) -> Context:
    """Return the loss with a past of `steps` steps."""
    short = forward(targets.cut(steps))[-1].cpu()[:, None]
    differences = grouped(loss, targets, short) - grouped(loss, targets, outputs)
    return Context(steps, float(loss(short, targets.gathered)), standard_error(differences))
