"""Base of RNN, LSTM and GRU: stacks of affine cells, convertible to torch.nn."""

import math
from abc import ABC
from collections.abc import Callable
from typing import ClassVar, Generic, Self, TypeVar

import torch
from torch import nn

from throughtime.cells.affine import AffineCell
from throughtime.checks import check_flag, check_size
from throughtime.errors import ArgumentError, UnsupportedError
from throughtime.gradients.base import GradientMethod
from throughtime.layers.compatible import CompatibleLayer
from throughtime.layers.conversion import filled
from throughtime.layers.stack import check_options

Twin = TypeVar("Twin", bound=nn.RNNBase)

SHARED = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional")
"""Arguments that all layers and their twins have; each is also an attribute of both."""


class AffineLayer(CompatibleLayer, Generic[Twin], ABC):
    """Stack of affine cells of the same kind, with torch.nn's arguments.

    A subclass takes the arguments of its twin in the same order, or without a twin those of torch.nn.GRU.

    Args:
        make_cell: input_size → cell.
        input_size: number of features I of x_t, at least 1.
        num_layers: number of layers, at least 1.
        proj_size: size of a projection; 0 for none, and for layers without `proj_size` among `extra_arguments`.
        (others): see `RecurrentLayer`.
    """

    twin: ClassVar[type[nn.RNNBase] | None] = None
    """Class of torch.nn with the same parameters; None where torch.nn has none."""

    extra_arguments: ClassVar[tuple[str, ...]] = ()
    """Arguments that only the layer and its twin have, beside `SHARED`."""

    def __init__(
        self,
        make_cell: Callable[[int], AffineCell],
        input_size: int,
        num_layers: int,
        *,
        proj_size: int = 0,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        learn_initial_state: bool,
        gradient: GradientMethod | None,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        self._check_projection(proj_size)
        cure = "for a recurrence without inputs use throughtime.Recurrent, over a cell with input_size=0"
        first = make_cell(check_size("input_size", input_size, least=1, cure=cure))
        num_layers = check_size("num_layers", num_layers, least=1)
        check_flag("bias", first.bias)
        check_options(batch_first, learn_initial_state, dtype)
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
        """Make a layer with a copy of a torch.nn module's weights.

        Args:
            module: the torch.nn layer; the new layer has its device, dtype and mode (training or evaluation). Of a
                parametrized weight the value is copied.
            gradient: see `RecurrentLayer`.

        Raises:
            ArgumentError: `module` is of another class than the layer's counterpart in torch.nn.
            UnsupportedError: a weight is set by a hook, as a pruned weight is.
        """
        twin = cls._twin()
        if not isinstance(module, twin):
            raise ArgumentError("module", f"is a {type(module).__name__}", f"it must be a torch.nn.{twin.__name__}")
        arguments = {name: getattr(module, name) for name in SHARED + cls.extra_arguments}
        return filled(cls(**arguments, gradient=gradient, device="meta"), module)

    def to_torch(self) -> Twin:
        """Make the torch.nn module with a copy of the layer's weights.

        Of a parametrized weight the value is copied.

        Raises:
            UnsupportedError: torch.nn lacks the layer, or a feature: a learned initial state, the identity. Or a weight
                is set by a hook, as a pruned weight is.
        """
        twin = self._twin()
        if self.learn_initial_state:
            raise UnsupportedError(
                f"learn_initial_state=True has no counterpart in torch.nn.{twin.__name__}; build the layer "
                "without it and pass h_0 as hx"
            )
        self._check_convertible()
        arguments = {name: getattr(self, name) for name in SHARED + self.extra_arguments}
        return filled(twin(**arguments, device="meta"), self)  # type: ignore[return-value]

    @classmethod
    def _twin(cls) -> type[nn.RNNBase]:
        if cls.twin is None:
            raise UnsupportedError(f"{cls.__name__} has no counterpart in torch.nn: copy the weights by their names")
        return cls.twin

    def _check_projection(self, proj_size: object) -> None:
        """Refuse a projection where only the LSTM has one."""
        if proj_size and "proj_size" not in self.extra_arguments:
            raise ArgumentError(
                "proj_size", f"is {proj_size!r}", f"only the LSTM has a projection, {type(self).__name__} does not"
            )

    def _draw(self, name: str, parameter: nn.Parameter) -> None:
        bound = 1 / math.sqrt(self.hidden_size)
        parameter.uniform_(-bound, bound)

    def _instead_of_script(self) -> str:
        cure = super()._instead_of_script()
        return cure if self.twin is None else f"{cure}, or put the layer's to_torch() in its place"

    def _check_convertible(self) -> None:
        """Raise `UnsupportedError` for options that the twin lacks; by default for none."""
