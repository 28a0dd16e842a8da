"""Gradient flossing: push Lyapunov exponents to zero, so that gradients neither vanish nor explode."""

from collections.abc import Sequence as Ordered

import torch
from jaxtyping import Float
from torch import Tensor

from throughtime.cells.loop import Loop
from throughtime.checks import check_size, is_real
from throughtime.diagnosis.directions import Follower, checked_discard, counted_steps
from throughtime.diagnosis.lyapunov import check_layer
from throughtime.errors import ArgumentError
from throughtime.inference_mode import records_graphs
from throughtime.layers.base import RecurrentLayer
from throughtime.types import State


def flossing_loss(
    layer: RecurrentLayer,
    x: Tensor,
    hx: Tensor | State | None = None,
    *,
    count: int,
    target: float = 0.0,
    lengths: Tensor | Ordered[int] | None = None,
    resets: Tensor | None = None,
    discard: int | None = None,
    depth: int = 0,
) -> Float[Tensor, ""]:
    """Compute Σ_i (λ_i - target)² over the leading Lyapunov exponents.

    Add it to a loss, or minimise it first.

    The exponents are those of `lyapunov_exponents` for the same arguments; the gradient goes through the states, the
    Jacobians and the QR decompositions (Engelken 2023, "Gradient flossing: improving gradient descent through dynamic
    control of Jacobians").

    Args:
        layer, x, hx, lengths, resets, discard, depth: see `lyapunov_exponents`; x is a tensor here.
        count: the number of leading exponents to push. With more of them more directions carry a gradient, and the
            network forgets less. A direction that is lost at once cannot be pushed.
        target: the value of the exponents to reach, per step; 0 for a gradient that keeps its norm.

    Returns:
        The loss, in the layer's dtype; the exponents are computed in float64.

    Raises:
        ArgumentError: an argument has the wrong type or shape or is out of range, or one of the `count` directions is
            lost at a step.
        NonFiniteError: see `lyapunov_of`.

    Cost: about four times that of `lyapunov_exponents`, and O(T·B·S²) memory, because every Jacobian is kept: use few
    rows, some dozen to hundred steps, and few updates of a training. When not to use it: for short dependencies; for
    gates that already keep the leading exponents near 0.

    Examples:
        >>> rnn = tt.RNN(3, 8)
        >>> loss = tt.flossing_loss(rnn, torch.randn(40, 2, 3), count=4)
        >>> loss.backward()
        >>> loss.item() > 0, bool(rnn.weight_hh_l0.grad.isfinite().all())
        (True, True)
    """
    check_layer(layer, depth)
    cell, parameters = layer.cell_and_parameters(depth)
    sequence = layer.sequence_at(depth, x, hx, lengths=lengths, resets=resets)
    follower = Follower(cell, parameters, sequence, count)
    counted = counted_steps(sequence, checked_discard(sequence, discard))
    if not bool(counted.any()):
        raise ArgumentError("x", "has no step whose state comes from an earlier state", "it must have at least one")
    loop = Loop(cell)  # not the kernel: PyTorch must differentiate the states
    logs = follower.follow(sequence, loop.entering(sequence, loop.forward(parameters, sequence, "states").trace))
    lost = logs.detach().isinf().nonzero()
    if len(lost):
        step, row, direction = lost[0].tolist()
        fewer = f"give a count of at most {direction}"
        raise ArgumentError(
            "count",
            f"is {count}, but direction {direction + 1} is lost at step {step} of row {row} (counted from 0)",
            "its exponent is -inf and has no derivative",
            fewer if direction else "start from weights that keep some of the state",
        )
    return (logs[counted].mean(0) - target).square().sum().to(sequence.initial[0].dtype)


@records_graphs
def floss(
    layer: RecurrentLayer,
    x: Tensor,
    hx: Tensor | State | None = None,
    *,
    count: int,
    steps: int = 100,
    learning_rate: float = 1e-2,
    target: float = 0.0,
    depth: int = 0,
) -> list[float]:
    """Floss a layer before training: take `steps` steps of Adam on `flossing_loss`, in place.

    Args:
        layer, x, hx, count, target, depth: see `flossing_loss`; only the parameters that require a gradient change.
        steps: the number of steps.
        learning_rate: the learning rate of Adam.

    Returns:
        The loss before each step.

    Raises:
        ArgumentError: an argument has the wrong type or is out of range; see `flossing_loss`.
    """
    check_size("steps", steps, least=1)
    if not (is_real(learning_rate) and 0 < learning_rate < float("inf")):
        raise ArgumentError("learning_rate", f"is {learning_rate!r}", "it must be a positive finite number")
    check_layer(layer, depth)
    trained = [parameter for parameter in layer.parameters() if parameter.requires_grad]
    if not trained:
        raise ArgumentError("layer", "has no parameter that requires a gradient", "there is nothing to floss")
    optimizer, losses = torch.optim.Adam(trained, lr=learning_rate), []
    gradients = [parameter.grad for parameter in trained]
    try:
        for _ in range(steps):
            optimizer.zero_grad()
            with torch.enable_grad():
                loss = flossing_loss(layer, x, hx, count=count, target=target, depth=depth)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    finally:
        for parameter, gradient in zip(trained, gradients, strict=True):
            parameter.grad = gradient
    return losses
