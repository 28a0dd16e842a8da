"""LSTM layer."""

import torch
from torch import Tensor, nn

from throughtime.cells.lstm import LSTMCell
from throughtime.gradients.base import GradientMethod
from throughtime.layers.affine import AffineLayer


class LSTM(AffineLayer[nn.LSTM]):
    """LSTM with the interface of torch.nn.LSTM, projections included.

    `LSTMCell` has the equations.

    Args:
        learn_initial_state, gradient: see `RecurrentLayer`; all others are torch.nn.LSTM's.

    Examples:
        >>> lstm = LSTM(3, 5, proj_size=2)
        >>> y, (h, c) = lstm(torch.randn(7, 4, 3))
        >>> y.shape, h.shape, c.shape
        (torch.Size([7, 4, 2]), torch.Size([1, 4, 2]), torch.Size([1, 4, 5]))
    """

    twin = nn.LSTM
    mode = "LSTM"
    extra_arguments = ("proj_size",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        learn_initial_state: bool = False,
        gradient: GradientMethod | None = None,
    ) -> None:
        super().__init__(
            lambda size: LSTMCell(size, hidden_size, bias, proj_size),
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

    def get_expected_cell_size(self, input: Tensor, batch_sizes: Tensor | None = None) -> tuple[int, int, int]:
        """Return the shape of c that `forward` expects: (layers · directions, B, hidden_size).

        Args:
            input, batch_sizes: see `check_input`.
        """
        return self._expected_size(1, input, batch_sizes)
