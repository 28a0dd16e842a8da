"""What RNN, LSTM and GRU share: stacks of one affine cell, and the way from and to torch.nn."""

from abc import ABC
from collections.abc import Callable
from typing import ClassVar, Generic, Self, TypeVar

import torch
from torch import nn

from throughtime.cells.affine import AffineCell
from throughtime.errors import ArgumentError, UnsupportedError
from throughtime.gradients.base import GradientMethod
from throughtime.layers.base import RecurrentLayer

Twin = TypeVar("Twin", bound=nn.RNNBase)

SHARED = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional")


class AffineLayer(RecurrentLayer, Generic[Twin], ABC):
    """A stack of one kind of affine cell with torch.nn's arguments. A subclass takes those of torch.nn.GRU, in order.

    Args:
        make_cell: input_size → cell.
        num_layers: how many are stacked.
        (others): see `RecurrentLayer`.
    """

    twin: ClassVar[type[nn.RNNBase] | None] = None
    """The class of torch.nn with the same parameters; None where torch.nn has none."""

    own: ClassVar[tuple[str, ...]] = ()
    """The arguments that only this layer and its twin have."""

    def __init__(
        self,
        make_cell: Callable[[int], AffineCell],
        input_size: int,
        num_layers: int,
        *,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        learn_initial_state: bool,
        gradient: GradientMethod | None,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        if isinstance(num_layers, bool) or not isinstance(num_layers, int) or num_layers < 1:
            raise ArgumentError(f"num_layers is {num_layers!r}; it must be a whole number, at least 1")
        first = make_cell(input_size)
        above = make_cell(first.output_size * (2 if bidirectional else 1))
        super().__init__(
            [first, *[above] * (num_layers - 1)],
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            learn_initial_state=learn_initial_state,
            gradient=gradient,
            device=device,
            dtype=dtype,
        )
        self.input_size, self.hidden_size, self.bias = first.input_size, first.hidden_size, first.bias
        self.proj_size = first.proj_size

    @classmethod
    def from_torch(cls, module: Twin, *, gradient: GradientMethod | None = None) -> Self:
        """A layer with a copy of the weights of torch.nn's `module`, on its device, in its dtype and mode."""
        twin = cls._twin()
        if not isinstance(module, twin):
            raise ArgumentError(f"module is a {type(module).__name__}; it must be a torch.nn.{twin.__name__}")
        arguments = {name: getattr(module, name) for name in SHARED + cls.own}
        return _filled(cls(**arguments, gradient=gradient, device="meta"), module)

    def to_torch(self) -> Twin:
        """torch.nn's module with a copy of these weights.

        Raises:
            UnsupportedError: for what torch.nn does not have: this layer, a learned initial state, the identity
                nonlinearity.
        """
        twin = self._twin()
        if self.learn_initial_state:
            raise UnsupportedError(
                f"learn_initial_state=True has no counterpart in torch.nn.{twin.__name__}; build the layer "
                "without it and pass h_0 as hx"
            )
        self._refuse_twin()
        arguments = {name: getattr(self, name) for name in SHARED + self.own}
        return _filled(twin(**arguments, device="meta"), self)  # type: ignore[return-value]

    @classmethod
    def _twin(cls) -> type[nn.RNNBase]:
        if cls.twin is None:
            raise UnsupportedError(f"{cls.__name__} has no counterpart in torch.nn: copy the weights by their names")
        return cls.twin

    def _refuse_twin(self) -> None:
        """Raise `UnsupportedError` for a layer that torch.nn cannot express; the default refuses nothing."""


Filled = TypeVar("Filled", bound=nn.Module)


def _filled(empty: Filled, source: nn.Module) -> Filled:
    """`empty`, made on the meta device so that no random number is drawn, with copies of the parameters of `source`."""
    empty.load_state_dict({name: value.detach().clone() for name, value in source.state_dict().items()}, assign=True)
    for name, parameter in source.named_parameters():
        empty.get_parameter(name).requires_grad_(parameter.requires_grad)
    return empty.train(source.training)
