"""Stacked layers as a joint recurrence, so that forward methods stay exact across layers."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from throughtime.cells.base import Cell
from throughtime.gradients.systems import CellStep, CellSystem, Step, System
from throughtime.types import Parameters, State


@dataclass(frozen=True)
class StackSystem(System):
    """Stacked layers as a single recurrence, each reading the output of the layer below.

    The state joins those of all layers, the lowest first. A weight of a lower layer acts on the layers above within
    the step, through ∂s_t/∂x_t of each.

    Args:
        layers: the lowest first.
    """

    layers: tuple[CellSystem, ...]

    @property
    def parameters(self) -> Parameters:
        return {
            f"{name}_l{depth}": value
            for depth, layer in enumerate(self.layers)
            for name, value in layer.parameters.items()
        }

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(size for layer in self.layers for size in layer.sizes)

    def at(self, x: Float[Tensor, "batch input"], entering: State) -> "StackStep":
        cells, values = [layer.cell for layer in self.layers], [layer.values for layer in self.layers]
        return StackStep(tuple(cells), tuple(values), x, entering)

    def probe(self, rows: int, generator: torch.Generator) -> "StackStep":
        probes = [layer.probe(rows, generator) for layer in self.layers]
        entering = tuple(member for probe in probes for member in probe.entering)
        return StackStep(tuple(p.cell for p in probes), tuple(p.values for p in probes), probes[0].x, entering)


@dataclass(frozen=True)
class StackStep(Step):
    """A step of a stack."""

    cells: tuple[Cell, ...]
    values: tuple[Parameters, ...]
    x: Float[Tensor, "batch input"]
    entering: State

    def jacobian(self) -> Float[Tensor, "batch size size"]:
        """Compute ∂s_t/∂s_{t-1}, which is block lower triangular.

        Its rows are [J_0], [X_1 J_0, J_1], … with X_l = ∂s_l/∂h_{l-1} at step t.
        """
        total, rows = sum(self._sizes), []
        for depth, layer in enumerate(self._layers):
            below = self.x.new_zeros(len(self.x), self._sizes[depth], total)
            if depth:
                below = self._link(depth) @ rows[-1][:, : self._width(depth - 1)]
            of_layer = slice(self._offset(depth), self._offset(depth + 1))
            below[:, :, of_layer] = layer.jacobian()
            rows.append(below)
        return torch.cat(rows, dim=1)

    def add_immediate(
        self, influence: Mapping[str, Tensor], mix: Float[Tensor, "batch rows size"] | None = None
    ) -> None:
        # A layer's weights act on the layer's part of s_t, and through `upwards` on the parts of all layers above.
        for depth, layer in enumerate(self._layers):
            of_layer = {name: influence[f"{name}_l{depth}"] for name in layer.values}
            upwards = self._upwards(depth)
            if mix is not None:
                reach = mix[..., self._offset(depth) : self._offset(depth + 1)]
                if upwards is not None:
                    reach = reach + mix[..., self._offset(depth + 1) :] @ upwards
                layer.add_immediate(of_layer, reach)
                continue
            start, size = self._offset(depth), self._sizes[depth]
            layer.add_immediate({n: v.narrow(1, start, size) for n, v in of_layer.items()})
            if upwards is not None:
                above = {n: v.narrow(1, start + size, upwards.shape[1]) for n, v in of_layer.items()}
                layer.add_immediate(above, upwards)

    @cached_property
    def _layers(self) -> list[CellStep]:
        """The step of each layer, the lowest first."""
        layers, x, rest = [], self.x, self.entering
        for cell, values in zip(self.cells, self.values, strict=True):
            state, rest = rest[: len(cell.state_sizes)], rest[len(cell.state_sizes) :]
            layers.append(CellStep(cell, values, x, state))
            x = cell.step(values, x, state)[0]
        return layers

    @cached_property
    def _sizes(self) -> list[int]:
        return [cell.state_size for cell in self.cells]

    def _offset(self, depth: int) -> int:
        """The offset of a layer's part of the state."""
        return sum(self._sizes[:depth])

    def _width(self, depth: int) -> int:
        """The size of a layer's output, which is the first member of its state."""
        return next(iter(self.cells[depth].state_sizes.values()))

    def _link(self, depth: int) -> Float[Tensor, "batch size width"]:
        """∂s_l/∂h_{l-1} at the same step."""
        layer = self._layers[depth]
        return layer.cell.input_jacobian(layer.values, layer.x, layer.entering)

    def _upwards(self, depth: int) -> Float[Tensor, "batch above size"] | None:
        """∂(the states of all layers above)/∂s_l at the same step; None for the highest."""
        if depth == len(self.cells) - 1:
            return None
        rows, size = [], self._sizes[depth]
        reach = torch.eye(self._width(depth), size, dtype=self.x.dtype, device=self.x.device)
        for above in range(depth + 1, len(self.cells)):
            rows.append(self._link(above) @ reach)
            reach = rows[-1][:, : self._width(above)]
        return torch.cat(rows, dim=1)
