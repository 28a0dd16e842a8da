"""The model of a text: embedding, recurrent layers, dropout, linear readout."""

from typing import TypeAlias

from torch import Tensor, nn

from throughtime.gradients import GradientMethod
from throughtime.layers import GRU, LSTM, RNN
from throughtime.training.settings import ModelSettings
from throughtime.types import State

CarriedState: TypeAlias = Tensor | State | None
"""What a recurrent layer returns as its final state and takes as its initial one; None: zero."""


class SequenceModel(nn.Module):
    """Logits of the next symbol from the symbols so far.

    Args:
        vocabulary_size: the number K of symbols.
        settings: sizes and cell.
        recurrent: recurrent layers from embedding to hidden size with torch.nn's interface; None builds throughtime's.
        gradient: how these layers obtain their gradient; BPTT() if None.
    """

    def __init__(
        self,
        vocabulary_size: int,
        settings: ModelSettings,
        recurrent: nn.Module | None = None,
        gradient: GradientMethod | None = None,
    ) -> None:
        super().__init__()
        # First, so that layers made by the caller draw the same random numbers as those made here.
        self.recurrent = build_recurrent(settings, gradient) if recurrent is None else recurrent
        self.embedding = nn.Embedding(vocabulary_size, settings.embedding_size or settings.hidden_size)
        self.dropout = nn.Dropout(settings.dropout)
        self.readout = nn.Linear(settings.hidden_size, vocabulary_size)

    def forward(self, symbols: Tensor, state: CarriedState = None, skip: int = 0) -> tuple[Tensor, CarriedState]:
        """Read symbols.

        Args:
            symbols: symbol numbers [time, batch].
            state: the state before the first of them, as the last call returned it; None: zero.
            skip: of so many symbols at the beginning no logits are wanted.

        Returns:
            Logits [time - skip, batch, vocabulary] of the symbol after each, and the state after the last.
        """
        hidden, state = self.recurrent(self.embedding(symbols), state)
        return self.readout(self.dropout(hidden[skip:])), state


def build_recurrent(settings: ModelSettings, gradient: GradientMethod | None = None) -> RNN | LSTM | GRU:
    """Return throughtime's recurrent layers for these settings."""
    sizes = (settings.embedding_size or settings.hidden_size, settings.hidden_size, settings.num_layers)
    # Above the last layer the model drops by itself, as torch.nn's layers do not.
    dropout = settings.dropout if settings.num_layers > 1 else 0.0
    match settings.cell:
        case "lstm":
            return LSTM(*sizes, dropout=dropout, gradient=gradient)
        case "gru":
            return GRU(*sizes, dropout=dropout, gradient=gradient)
        case "rnn":
            return RNN(*sizes, nonlinearity=settings.nonlinearity, dropout=dropout, gradient=gradient)


def detached(state: CarriedState) -> CarriedState:
    """Return the state without its history, so that the gradient ends here."""
    if state is None:
        return None
    return state.detach() if isinstance(state, Tensor) else tuple(member.detach() for member in state)
