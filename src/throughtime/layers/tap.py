"""The tap: recording ‖∂L/∂h_t‖ in the layers of a model."""

from contextlib import AbstractContextManager

from torch import nn

from throughtime.layers.base import RecurrentLayer
from throughtime.sequences.tap import Tap


class Tapping(AbstractContextManager[Tap]):
    """What `tap` returns: each time it is entered, the layers of the model record in a new `Tap`."""

    def __init__(self, model: nn.Module) -> None:
        named = [(name, module) for name, module in model.named_modules() if isinstance(module, RecurrentLayer)]
        self._layers = [(module, f"{name}." if name else "") for name, module in named]
        self._outer: list[tuple[Tap, str] | None] = []

    def __enter__(self) -> Tap:
        record = Tap()
        # Past nn.Module's own way to set an attribute, which asks of each whether it is a parameter: a tap is entered
        # for every update.
        for module, prefix in self._layers:
            self._outer.append(module.tapped)
            vars(module)["tapped"] = record, prefix
        return record

    def __exit__(self, *_: object) -> None:
        for module, _prefix in reversed(self._layers):
            vars(module)["tapped"] = self._outer.pop()


def tap(model: nn.Module) -> Tapping:
    """Record ‖∂L/∂h_t‖ of every throughtime layer in `model`, for every forward pass made inside the block.

    The records are filled by the backward pass of such a forward pass, wherever that happens, and hold the latest.
    Inside the block of another tap the inner one records. What this returns can be entered again, for every update a
    new record: the layers are looked for once, when `tap` is called.
    Cost: O(T·B·H) per layer, and 4 bytes per step, row and member of the state; `throughtime bench --tap` measures it.

    Examples:
        >>> import throughtime as tt
        >>> rnn = tt.RNN(3, 5)
        >>> with tt.tap(rnn) as norms:
        ...     rnn(torch.randn(7, 2, 3))[0].sum().backward()
        >>> norms.layers["l0"].norms["h"].shape
        torch.Size([7, 2])
    """
    return Tapping(model)
