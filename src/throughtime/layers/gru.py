"""GRU layer."""

import torch
from torch import nn

from throughtime.cells.gru import GRUCell
from throughtime.gradients.base import GradientMethod
from throughtime.layers.affine import AffineLayer


class GRU(AffineLayer[nn.GRU]):
    """GRU with the interface of torch.nn.GRU.

    `GRUCell` has the equations.

    Args:
        proj_size: 0, as only the LSTM has a projection; torch.nn takes the argument to refuse it, too.
        learn_initial_state, gradient: see `RecurrentLayer`; all others are torch.nn.GRU's.

    Examples:
        >>> gru = GRU(3, 5, bidirectional=True, batch_first=True)
        >>> y, h = gru(torch.randn(4, 7, 3))
        >>> y.shape, h.shape
        (torch.Size([4, 7, 10]), torch.Size([2, 4, 5]))
    """

    twin = nn.GRU
    mode = "GRU"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
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
            lambda size: GRUCell(size, hidden_size, bias),
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
