"""Modules of forecasts: what enters the recurrent layers, and what is read out of them."""

import torch
from torch import Tensor, nn

_MIXED = 32
"""Places in which a state and what is known of a step ahead come together."""


class FirstColumns(nn.Module):
    """Pass the first columns on.

    Args:
        count: how many columns.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the first columns of inputs [time, batch, columns]."""
        return inputs[..., : self.count]


class ForecastReadout(nn.Module):
    """Forecasts of all steps ahead, from the state and what is known ahead.

    Args:
        hidden: units of the state.
        read: columns of the inputs that the recurrent layers read; the others are known ahead.
        known: columns known of each step ahead.
        ahead: steps of a forecast.
        outputs: targets, and numbers for each of them.
    """

    reads_inputs = True

    def __init__(self, hidden: int, read: int, known: int, ahead: int, outputs: tuple[int, int]) -> None:
        super().__init__()
        self.read, self.shape = read, (ahead, *outputs)
        size = outputs[0] * outputs[1]
        self.of_state = nn.Linear(hidden, ahead * size)
        if known:
            self.state_in = nn.Linear(hidden, _MIXED)
            self.known_in = nn.Linear(known, _MIXED, bias=False)
            self.place = nn.Parameter(torch.zeros(ahead, _MIXED))
            self.mixed_out = nn.Linear(_MIXED, size, bias=False)
            self.known_out = nn.Linear(known, size, bias=False)
            nn.init.zeros_(self.mixed_out.weight)
            nn.init.zeros_(self.known_out.weight)
        nn.init.zeros_(self.of_state.weight)  # training begins with forecasts of what they depart from
        self.known = known

    def forward(self, hidden: Tensor, inputs: Tensor) -> Tensor:
        """Return outputs [time, batch, ahead, targets, numbers].

        Args:
            hidden: states [time, batch, units].
            inputs: [time, batch, columns] of the same steps.
        """
        outputs = self.of_state(hidden).unflatten(-1, self.shape)
        if not self.known:
            return outputs
        known = inputs[..., self.read :].unflatten(-1, (self.shape[0], self.known))
        mixed = torch.tanh(self.state_in(hidden).unsqueeze(-2) + self.known_in(known) + self.place)
        return outputs + (self.mixed_out(mixed) + self.known_out(known)).unflatten(-1, self.shape[1:])
