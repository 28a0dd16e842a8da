"""Linear layer that sends errors back through fixed random weights."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear


class _Backwards(torch.autograd.Function):
    """Function W x + b with `feedback` in place of its derivative by x.

    The derivatives by W and b are the true derivatives.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, feedback: Tensor) -> Tensor:
        return linear(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, _, bias, feedback = inputs
        ctx.bias = bias is not None
        ctx.save_for_backward(x, feedback)

    @staticmethod
    def backward(ctx: Any, d_y: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, feedback = (saved.to(d_y.dtype) for saved in ctx.saved_tensors)  # under autocast they differ
        rows = d_y.reshape(-1, d_y.shape[-1])
        d_weight = rows.T @ x.reshape(-1, x.shape[-1])
        return d_y @ feedback, d_weight, rows.sum(0) if ctx.bias else None, None


class FeedbackLinear(nn.Linear):
    """Linear layer with a fixed random matrix in place of the transposed weight.

    y = W x + b and the gradients of W and b are nn.Linear's; x receives ∂L/∂y · F instead of ∂L/∂y · W. The layer is
    the readout of random-feedback learning: use it on top of a recurrent layer with `RFLO` or `EProp`, as their papers
    do, so that no error needs the weights that it corrects. W comes to align with F while W is learned.

    Args:
        in_features, out_features, bias, device, dtype: as in torch.nn.Linear.

    Attributes:
        feedback: F [out_features, in_features], a buffer in `state_dict`, drawn from the weight's distribution and
            never learned. Set `feedback` to the weight's value for nn.Linear's gradients.

    The gradient of x is no derivative of y on purpose: keep the layer out of gradient checks, and do not differentiate
    twice.

    Lillicrap et al. 2016, "Random synaptic feedback weights support error backpropagation for deep learning".

    Examples:
        >>> rnn, readout = nn.RNN(3, 5), FeedbackLinear(5, 2)
        >>> readout(rnn(torch.randn(7, 4, 3))[0]).sum().backward()
        >>> sorted(readout.state_dict())
        ['bias', 'feedback', 'weight']
    """

    feedback: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features, bias, device, dtype)
        self.register_buffer("feedback", torch.empty_like(self.weight, requires_grad=False))
        self._draw_feedback()

    def reset_parameters(self) -> None:
        """Draw weight, bias and feedback anew, with torch.nn.Linear's distribution."""
        super().reset_parameters()
        if "feedback" in self._buffers:  # not yet there while nn.Linear is being built
            self._draw_feedback()

    def _draw_feedback(self) -> None:
        bound = self.in_features**-0.5 if self.in_features else 0.0
        nn.init.uniform_(self.feedback, -bound, bound)  # the distribution of nn.Linear's weight

    def forward(self, input: Float[Tensor, "*rows in_features"]) -> Float[Tensor, "*rows out_features"]:
        return _Backwards.apply(input, self.weight, self.bias, self.feedback)
