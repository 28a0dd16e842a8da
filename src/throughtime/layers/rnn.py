"""Elman layer."""

import torch
from torch import nn

from throughtime.cells.elman import ElmanCell, Nonlinearity
from throughtime.errors import UnsupportedError
from throughtime.gradients.base import GradientMethod
from throughtime.layers.affine import AffineLayer


class RNN(AffineLayer[nn.RNN]):
    """Elman layer with the interface of torch.nn.RNN.

    h_t = φ(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), where φ is tanh, ReLU or the identity.

    Args:
        nonlinearity: "tanh", "relu", or "identity" for the linear RNN of [Y].
        proj_size: 0, as only the LSTM has a projection; torch.nn takes the argument to refuse it, too.
        learn_initial_state, gradient: see `RecurrentLayer`; all others are torch.nn.RNN's.

    Examples:
        >>> rnn = RNN(3, 5, num_layers=2, nonlinearity="relu")
        >>> y, h = rnn(torch.randn(7, 2, 3), lengths=[7, 4])
        >>> y.shape, h.shape
        (torch.Size([7, 2, 5]), torch.Size([2, 2, 5]))
    """

    twin = nn.RNN
    extra_arguments = ("nonlinearity",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Nonlinearity = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int = 0,
        learn_initial_state: bool = False,
        gradient: GradientMethod | None = None,
    ) -> None:
        super().__init__(
            lambda size: ElmanCell(size, hidden_size, bias, nonlinearity),
            input_size,
            num_layers,
            proj_size=proj_size,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            learn_initial_state=learn_initial_state,
            gradient=gradient,
            device=device,
            dtype=dtype,
        )
        self.nonlinearity = nonlinearity

    @property
    def mode(self) -> str:
        """Name of torch.nn for the recurrence: "RNN_TANH", "RNN_RELU", or "RNN_IDENTITY"."""
        return f"RNN_{self.nonlinearity.upper()}"

    def _check_convertible(self) -> None:
        if self.nonlinearity == "identity":
            raise UnsupportedError(
                "nonlinearity='identity' has no counterpart in torch.nn.RNN, which has tanh and relu"
            )
