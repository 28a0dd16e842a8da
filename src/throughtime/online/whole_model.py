"""A whole model as a single recurrence, where other layers act on the state too."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from throughtime.errors import UnsupportedError
from throughtime.gradients.systems import Step, System, random_like, redrawn
from throughtime.nests import refill, tensors_of
from throughtime.types import Parameters, State


@dataclass(frozen=True)
class ModelSystem(System):
    """The recurrence model(x, state) → (output, state), differentiated by `torch.func`.

    Args:
        model: the model.
        names: the parameters that act on the state.
        form: a state of the model, a nest of tensors [layers, batch, size].
        like: the tensors of such a state.
        x: an input [batch, …]; random inputs are drawn like it.
    """

    model: nn.Module
    names: tuple[str, ...]
    form: Any
    like: State
    x: Tensor

    @property
    def parameters(self) -> Parameters:
        return {name: self.model.get_parameter(name) for name in self.names}

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(member.shape[0] * member.shape[2] for member in self.like)

    def at(self, x: Tensor, entering: State) -> "ModelStep":
        return ModelStep(self, {name: value.detach() for name, value in self.parameters.items()}, x, entering)

    def probe(self, rows: int, generator: torch.Generator) -> "ModelStep":
        values = {name: redrawn(value, generator) for name, value in self.at(self.x, ()).values.items()}
        x = self.x[:1].expand(rows, *self.x.shape[1:])
        x = random_like(x, generator) if x.is_floating_point() else x
        like = self.like[0]
        entering = tuple(random_like(like.new_empty(rows, size), generator) for size in self.sizes)
        return ModelStep(self, values, x, entering)

    def new_state(self, values: Parameters, x: Tensor, flat: Float[Tensor, " size"]) -> Float[Tensor, " size"]:
        """Take a step of a single row, with the state flattened before and after."""
        members = [
            part.unflatten(0, (member.shape[0], 1, member.shape[2]))
            for part, member in zip(flat.split(list(self.sizes)), self.like, strict=True)
        ]
        state = refill(self.form, members)
        # With `tie_weights` torch would not put a module's parameter back that has several names.
        at_each_place = {place: values[name] for place, name in self._places.items()}
        _, new = functional_call(self.model, at_each_place, (x[None, None], state), tie_weights=False)
        return torch.cat([member.flatten() for member in tensors_of(new)])

    @cached_property
    def _places(self) -> dict[str, str]:
        """Name of every place of the parameters → their name in `names`. A module with several names counts once."""
        known = {id(value): name for name, value in self.parameters.items()}
        return {
            f"{path}.{name}".lstrip("."): known[id(value)]
            for path, module in self.model.named_modules()
            for name, value in module.named_parameters(recurse=False, remove_duplicate=False)
            if id(value) in known
        }


@dataclass(frozen=True)
class ModelStep(Step):
    """A step of a whole model."""

    system: ModelSystem
    values: Parameters
    x: Tensor
    entering: State

    def jacobian(self) -> Float[Tensor, "batch size size"]:
        return self._rows(lambda flat, x: self.system.new_state(self.values, x, flat), (0, 0), self._flat, self.x)

    def add_immediate(
        self, influence: Mapping[str, Tensor], mix: Float[Tensor, "batch rows size"] | None = None
    ) -> None:
        by_parameter = self._rows(self.system.new_state, (None, 0, 0), dict(self.values), self.x, self._flat)
        for name, value in by_parameter.items():
            influence[name].add_(value if mix is None else torch.einsum("brs,bs...->br...", mix, value))

    @property
    def _flat(self) -> Float[Tensor, "batch size"]:
        return torch.cat(self.entering, dim=-1)

    def _rows(self, function: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> Any:
        try:
            return vmap(jacrev(function), in_dims=in_dims)(*arguments)
        except RuntimeError as error:  # torch.func has no classes for these errors, only their texts
            if "mutate a captured Tensor" in str(error):
                raise UnsupportedError(
                    "the model changes a buffer in its forward pass (the statistics of a normalization?), and as "
                    "weights below or between its recurrent layers act on its state a forward method differentiates "
                    "that pass row by row: call model.eval(), or use TruncatedBPTT"
                ) from error
            if "randomness" not in str(error):
                raise
            raise UnsupportedError(
                "the model draws random numbers (dropout?), and as weights below or between its recurrent layers act "
                "on its state a forward method runs all of it several times a step, where they would have to be the "
                "same: take the dropout out (or call model.eval()), or use TruncatedBPTT"
            ) from error


def side_by_side(members: State) -> State:
    """Reshape tensors [layers, batch, size] to [batch, layers · size]."""
    return tuple(member.transpose(0, 1).flatten(1) for member in members)
