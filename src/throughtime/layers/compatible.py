"""Names of torch.nn's recurrent layers that user code and tools read, for every layer here."""

from abc import ABC
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from throughtime.errors import ArgumentError, UnsupportedError
from throughtime.layers.base import RecurrentLayer


class CompatibleLayer(RecurrentLayer, ABC):
    """Recurrent layer with the attributes and methods that code written for torch.nn uses.

    The underscored names are those of torch.nn.RNNBase, which code of others reads all the same.
    """

    def reset_parameters(self) -> None:
        """Draw all parameters anew from torch's generator, as torch.nn does.

        A learned initial state returns to zero. A weight that is parametrized or pruned is made of other parameters,
        which `_draw` draws.
        """
        with torch.no_grad():
            for name, parameter in self._parameters_of_weights().items():
                self._draw(name, parameter)
            for direction in self._directions:
                like = next(iter(direction.parameters(self).values()), None)
                if like is None:
                    continue
                # Drawn where and as they will be used, as torch.nn does.
                values = direction.cell.initial_parameters(like.device, like.dtype)
                for name, full in direction.names:
                    parameter = self._parameters.get(full)
                    if parameter is not None:
                        parameter.copy_(values[name])
            for name in self._learned_names():
                self.get_parameter(name).zero_()

    def flatten_parameters(self) -> None:
        """Do nothing; code written for torch.nn calls this method."""

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """Parameters of each layer and direction, in torch.nn's order."""
        return [list(direction.parameters(self).values()) for direction in self._directions]

    def _parameters_of_weights(self) -> dict[str, nn.Parameter]:
        """Return the parameters that weights are made of where they are no parameters themselves."""
        plain = {*self._flat_weights_names, *self._learned_names()}
        return {name: parameter for name, parameter in self.named_parameters() if name not in plain}

    def _learned_names(self) -> list[str]:
        """Return the names of the learned initial state's parameters."""
        return [f"{name}_0" for name in self._state_sizes] if self.learn_initial_state else []

    def _draw(self, name: str, parameter: nn.Parameter) -> None:
        """Draw a parameter that a weight is made of. Only some layers know its distribution."""
        raise UnsupportedError(
            f"reset_parameters cannot draw {name}, which a weight is made of: take the parametrization or the pruning "
            "off first, or set the values by hand"
        )

    @property
    def _all_weights(self) -> list[list[str]]:
        """Names of the weights by layer and direction."""
        return [[full for _, full in direction.names] for direction in self._directions]

    @property
    def _flat_weights_names(self) -> list[str]:
        """Names of the weights in torch.nn's order."""
        return [name for names in self._all_weights for name in names]

    @property
    def _flat_weights(self) -> tuple[Tensor | None, ...]:
        """Weights that act, in torch.nn's order.

        They are a tuple and no list: the layer reads its weights by name, so that an assignment to an entry would have
        no effect.
        """
        return tuple(getattr(self, name, None) for name in self._flat_weights_names)

    @_flat_weights.setter
    def _flat_weights(self, weights: Any) -> None:
        names = self._flat_weights_names
        if len(weights) != len(names):
            raise ArgumentError("_flat_weights", f"has {len(weights)} tensors", f"the layer has {len(names)} weights")
        for name, weight in zip(names, weights, strict=True):
            if weight is not getattr(self, name, None):
                raise ArgumentError(
                    "_flat_weights",
                    f"has another tensor for {name}",
                    "the layer reads its weights by their names",
                    f"set layer.{name} itself",
                )

    def check_input(self, input: Tensor, batch_sizes: Tensor | None = None) -> None:
        """Raise `ArgumentError` unless `forward` takes the input.

        Args:
            input: the input, or the data of a PackedSequence.
            batch_sizes: the batch_sizes of the PackedSequence; None for an input that is not packed.
        """
        self._read(_joined(input, batch_sizes), None, None, None)

    def check_forward_args(self, input: Tensor, hidden: Any, batch_sizes: Tensor | None = None) -> None:
        """Raise `ArgumentError` unless `forward` takes the input with that initial state.

        Args:
            input, batch_sizes: see `check_input`.
            hidden: the state, as `forward` takes it.
        """
        self._read(_joined(input, batch_sizes), hidden, None, None)

    def get_expected_hidden_size(self, input: Tensor, batch_sizes: Tensor | None = None) -> tuple[int, int, int]:
        """Return the shape of h that `forward` expects: (layers · directions, B, size).

        Args:
            input, batch_sizes: see `check_input`.
        """
        return self._expected_size(0, input, batch_sizes)

    def check_hidden_size(
        self, hx: Tensor, expected_hidden_size: tuple[int, ...], msg: str = "Expected hidden size {}, got {}"
    ) -> None:
        """Raise `ArgumentError` unless a member of the state has a shape.

        Args:
            hx: the member.
            expected_hidden_size: the shape.
            msg: the rest of the error's sentence, with a place for the expected and one for the actual shape.
        """
        if tuple(hx.shape) != tuple(expected_hidden_size):
            raise ArgumentError("hx", "does not fit", msg.format(tuple(expected_hidden_size), list(hx.shape)))

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """Return a state with its rows in another order; None changes nothing."""
        if permutation is None:
            return hx
        if isinstance(hx, Tensor):
            return hx.index_select(1, permutation)
        return tuple(member.index_select(1, permutation) for member in hx)

    def _expected_size(self, member: int, input: Tensor, batch_sizes: Tensor | None) -> tuple[int, int, int]:
        rows = int(input.shape[0 if self.batch_first else 1] if batch_sizes is None else batch_sizes[0])
        return len(self._directions), rows, list(self._state_sizes.values())[member]

    def __prepare_scriptable__(self) -> NoReturn:
        """Refuse torch.jit.script, which looks for this method before it compiles a module."""
        raise UnsupportedError(f"torch.jit.script cannot compile {type(self).__name__}: {self._instead_of_script()}")

    def _instead_of_script(self) -> str:
        return "use torch.compile or torch.export"


def _joined(input: Tensor, batch_sizes: Tensor | None) -> Tensor | PackedSequence:
    """Return an input as `forward` takes it."""
    return input if batch_sizes is None else PackedSequence(input, batch_sizes)
