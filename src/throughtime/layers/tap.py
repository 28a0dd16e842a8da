"""Tap: a recording of ‖∂L/∂h_t‖ in the layers of a model."""

from contextlib import AbstractContextManager

from torch import nn

from throughtime.layers.base import RecurrentLayer
from throughtime.sequences.tap import Tap


class Tapping(AbstractContextManager[Tap]):
    """Context manager that makes the layers of a model record in a `Tap`.

    Each time the context is entered, a new `Tap` is made.
    """

    def __init__(self, model: nn.Module) -> None:
        named = [(name, module) for name, module in model.named_modules() if isinstance(module, RecurrentLayer)]
        self._layers = [(module, f"{name}." if name else "") for name, module in named]
        self._outer: list[tuple[Tap, str] | None] = []

    def __enter__(self) -> Tap:
        record = Tap()
        # Written past nn.Module.__setattr__, which is slow because it checks for parameters: a tap is entered for every
        # update.
        for module, prefix in self._layers:
            self._outer.append(module.tapped)
            vars(module)["tapped"] = record, prefix
        return record

    def __exit__(self, *_: object) -> None:
        for module, _prefix in reversed(self._layers):
            vars(module)["tapped"] = self._outer.pop()


def tap(model: nn.Module) -> Tapping:
    """Record ‖∂L/∂h_t‖ of every throughtime layer in a model.

    Every forward pass inside of the block is recorded. Its backward pass fills the record, inside of the block or
    later; the latest backward pass counts. Inside of the block of another tap the inner tap records. The context can be
    entered again, for a new record in every update: `tap` looks for the layers only once.

    Cost: O(T·B·H) per layer, and 4 bytes per step, row and member of the state; `throughtime bench --tap` measures the
    cost.

    Examples:
        >>> import throughtime as tt
        >>> rnn = tt.RNN(3, 5)
        >>> with tt.tap(rnn) as norms:
        ...     rnn(torch.randn(7, 2, 3))[0].sum().backward()
        >>> norms.layers["l0"].norms["h"].shape
        torch.Size([7, 2])
    """
    return Tapping(model)
