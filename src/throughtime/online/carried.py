"""The engine that carries the influence of the weights along: RTRL and its approximations."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from throughtime.errors import UnsupportedError
from throughtime.gradients.bptt import BPTT
from throughtime.gradients.forward import ForwardMethod
from throughtime.gradients.influence import Influence
from throughtime.gradients.systems import CellSystem, Step
from throughtime.layers.base import RecurrentLayer
from throughtime.models.contexts import differentiated_by
from throughtime.models.recording import Recording
from throughtime.nests import tensors_of
from throughtime.online.engine import Engine, StepLoss
from throughtime.online.stack import StackSystem
from throughtime.online.watching import Visit, watched
from throughtime.online.whole_model import ModelSystem, side_by_side
from throughtime.types import Parameters, State


@dataclass(frozen=True)
class _Part:
    """A recurrence whose influence is carried: layers of a recurrent module, or the whole model.

    Attributes:
        influence: A_{t-1} = ∂s_{t-1}/∂θ, or what the method keeps in its place.
        layer: the name of the recurrent module.
        depths: the numbers of its layers.
        whole: the whole model as a system, in place of `layer` and `depths`.
    """

    influence: Influence
    layer: str = ""
    depths: tuple[int, ...] = ()
    whole: ModelSystem | None = None

    def state(self, members: State) -> State:
        """Return the state of the system, [B, size] each, from tensors [layers, B, size]."""
        if self.whole is not None:
            return side_by_side(members)
        return tuple(member[depth] for depth in self.depths for member in members)


class _Run(NamedTuple):
    """A step of the model, run with its graph.

    Attributes:
        leaves: the state that entered, in tensors that require a gradient.
        visits: the call of each recurrent layer, by name.
        prediction: the prediction [B, …].
        state: the new state, in the model's form.
        recordings: of each recurrent layer, by name; filled by a backward pass through the step.
    """

    leaves: State
    visits: dict[str, Visit]
    prediction: Tensor
    state: Any
    recordings: dict[str, Recording]


class _Trial(NamedTuple):
    """A step that was tried and not taken yet.

    Attributes:
        gradient: of the step's loss; None without a target.
        steps: the step of each part.
        leaving: the new state.
        reset: the rows whose state returned to zero before the step; None for no row.
    """

    gradient: dict[str, Tensor] | None
    steps: list[Step]
    leaving: State
    reset: Bool[Tensor, " batch"] | None


class Carried(Engine):
    """Engine that carries the influence of the weights along ([Y] (1)).

    The gradient of a loss is that by way of its step alone, and that by way of the past steps, from the influence. The
    influence is that of the weights with which each step was taken. Between updates the influence is exact; over an
    update it mixes the weights before and after, and is exact in the limit of a small learning rate.
    """

    def __init__(self, model: nn.Module, loss: StepLoss, method: ForwardMethod) -> None:
        super().__init__(model, loss, method)
        self._method = method  # `method` again, known to be a ForwardMethod
        self._parts: list[_Part] = []
        self._sum: dict[str, Tensor] = {}
        self._losses = 0
        self._trial: _Trial | None = None
        for name, layer in self.layers.items():
            if layer.num_layers > 1 and layer.dropout:
                raise UnsupportedError(
                    f"model's layer {name!r} has dropout={layer.dropout} between its layers, where a forward method "
                    "would have to draw the same again: build it with dropout=0"
                )

    def begin(self, x: Tensor) -> None:
        super().begin(x)
        before = self._computed_weights()
        run = self._run(x, self.leaves)
        _check_same(before, self._computed_weights())
        with torch.no_grad(), differentiated_by(self.layers.values(), BPTT()):
            self._parts = self._divided(x, run)

    def _divided(self, x: Tensor, run: _Run) -> list[_Part]:
        """Choose what to carry an influence for: each layer, each stack, or the whole model."""
        # An embedding below a layer, for example, acts on the state too.
        inputs_depend = any(visit.x.requires_grad for visit in run.visits.values())
        if not self._method.local and (inputs_depend or len(self.layers) > 1):
            system = self._whole(x, run.state)
            return [_Part(self._method.influence(system, len(x)), whole=system)]
        _check_handed_on(run)
        parts = []
        for name, layer in self.layers.items():
            every = tuple(range(layer.num_layers))
            for depths in [(depth,) for depth in every] if self._method.local else [every]:
                system = _system(layer, depths)
                parts.append(_Part(self._method.influence(system, len(x)), name, depths))
        return parts

    def try_step(
        self, x: Tensor, y: Tensor | None, reset: Bool[Tensor, " batch"] | None
    ) -> tuple[Tensor, Tensor | None]:
        run = self._run(x, self.entering_state(reset))
        if self._parts[0].whole is None:
            _check_handed_on(run)
        steps = [self._step(part, run, x) for part in self._parts]
        gradient, loss = None, None
        if y is not None:
            with torch.enable_grad():
                loss = self.loss_of(run.prediction, y)
            gradient = self._gradient_of(loss, run, steps, reset)
        self._trial = _Trial(gradient, steps, self.flat(run.state), reset)
        return run.prediction.detach(), None if loss is None else loss.detach()

    def commit(self) -> None:
        assert self._trial is not None
        gradient, steps, self.leaves, reset = self._trial
        self._trial = None
        with torch.no_grad(), differentiated_by(self.layers.values(), BPTT()):
            for part, step in zip(self._parts, steps, strict=True):
                if reset is not None:
                    part.influence.forget(reset[:, None])
                part.influence.advance(step)
        if gradient is not None:
            self._losses += 1
            self._sum = {name: self._sum[name] + g if name in self._sum else g for name, g in gradient.items()}

    def gradient(self) -> dict[str, Tensor] | None:
        if not self._losses:
            return None
        mean = {name: total / self._losses for name, total in self._sum.items()}
        self._sum, self._losses = {}, 0
        return mean

    def forget(self) -> None:
        all_rows = torch.ones(self.leaves[0].shape[1], 1, dtype=torch.bool, device=self.leaves[0].device)
        for part in self._parts:
            part.influence.forget(all_rows)
        self._sum, self._losses = {}, 0

    def memory(self) -> dict[str, Any]:
        influences = [{n: t.clone() for n, t in part.influence.tensors().items()} for part in self._parts]
        return {"influences": influences, "sum": dict(self._sum), "losses": self._losses}

    def restore(self, memory: dict[str, Any]) -> None:
        for part, tensors in zip(self._parts, memory["influences"], strict=True):
            part.influence.restore(tensors)
        self._sum, self._losses = dict(memory["sum"]), memory["losses"]

    def _computed_weights(self) -> dict[str, Tensor]:
        """Return copies of the recurrent layers' weights that are no parameters, by name, NaN as 0."""
        with torch.no_grad():
            return {
                f"{name}.{weight}_l{depth}".lstrip("."): value.nan_to_num()
                for name, layer in self.layers.items()
                for depth in range(layer.num_layers)
                for weight, value in layer.cell_and_parameters(depth)[1].items()
                if not isinstance(value, nn.Parameter)
            }

    def _run(self, x: Tensor, entering: State) -> _Run:
        """Run a step of the model, with its graph."""
        leaves = tuple(member.clone().requires_grad_() for member in entering)
        recordings = {name: Recording() for name in self.layers}
        with ExitStack() as contexts:
            contexts.enter_context(torch.enable_grad())
            # Eagerly, because a compiled layer does not run its backward pass in `Recording`.
            contexts.enter_context(torch.compiler.set_stance("force_eager"))
            for name, layer in self.layers.items():
                contexts.enter_context(differentiated_by([layer], recordings[name]))
            visits = contexts.enter_context(watched(self.layers))
            output, state = self.model(x[None], self.nest(leaves))
            prediction = output[0]
        used = [member for visit in visits.values() for member in visit.entering]
        if {id(member) for member in used} != {id(leaf) for leaf in leaves}:
            raise UnsupportedError(
                "model does not hand its state to its recurrent layers as it came, each member to one layer; a "
                "forward method could not follow its influence: pass the state on unchanged"
            )
        return _Run(leaves, visits, prediction, state, recordings)

    def _step(self, part: _Part, run: _Run, x: Tensor) -> Step:
        if part.whole is not None:
            return part.whole.at(x, tuple(member.detach() for member in part.state(run.leaves)))
        visit = run.visits[part.layer]
        lowest = part.depths[0]
        below = visit.x if lowest == 0 else visit.leaving[0][lowest - 1]
        entering = tuple(member.detach() for member in part.state(visit.entering))
        return _system(self.layers[part.layer], part.depths).at(below.detach(), entering)

    def _gradient_of(self, loss: Tensor, run: _Run, steps: list[Step], reset: Tensor | None) -> dict[str, Tensor]:
        parameters = [self.model.get_parameter(name) for name in self.names]
        with torch.enable_grad():
            weights = [self._weights(part) for part in self._parts]
        # A weight may be computed, by a parametrization or a hook, in a graph that is a part of the loss's.
        computed = any(not weight.is_leaf for by_name in weights for weight in by_name.values())
        gradients = torch.autograd.grad(loss, [*parameters, *run.leaves], allow_unused=True, retain_graph=computed)
        d_parameters, d_leaves = gradients[: len(parameters)], gradients[len(parameters) :]
        d_leaf = {
            id(leaf): torch.zeros_like(leaf) if d is None else d for leaf, d in zip(run.leaves, d_leaves, strict=True)
        }
        pairs: list[tuple[Tensor, Tensor]] = []
        with torch.no_grad():
            for part, step, by_name in zip(self._parts, steps, weights, strict=True):
                carried = self._carried(part, step, run, d_leaf, reset)
                pairs += [(by_name[name], d) for name, d in carried.items() if by_name[name].requires_grad]
            d_carried = _pulled_back(pairs, parameters)
            by_way = zip(self.names, d_parameters, d_carried, strict=True)
            terms = {name: [d for d in both if d is not None] for name, *both in by_way}
            return {name: ds[0] if len(ds) == 1 else ds[0] + ds[1] for name, ds in terms.items() if ds}

    def _weights(self, part: _Part) -> Parameters:
        """Return the weights of a part's system, by its names. Computed weights come with their graph."""
        if part.whole is not None:
            return part.whole.parameters
        return _system(self.layers[part.layer], part.depths).parameters

    def _carried(
        self, part: _Part, step: Step, run: _Run, d_leaf: dict[int, Tensor], reset: Tensor | None
    ) -> dict[str, Tensor]:
        """Return the gradient of a part's weights by way of the influence.

        `d_leaf` has ∂L_t/∂s_{t-1} by the id of each tensor of the state.
        """
        members = run.leaves if part.whole is not None else run.visits[part.layer].entering
        d_state = torch.cat(part.state(tuple(d_leaf[id(member)] for member in members)), dim=-1)
        if self._method.local:
            d_state = self._method.past_gradient(step, _direct(part, run, d_state), d_state)
        if reset is not None:  # a row that has just started anew owes nothing to the weights yet
            d_state = d_state.masked_fill(reset[:, None], 0)
        return part.influence.contract(d_state)

    def _whole(self, x: Tensor, new: Any) -> ModelSystem:
        """Make the whole model a system and try it, to refuse before any work."""
        parameters = [self.model.get_parameter(name) for name in self.names]
        with torch.enable_grad():
            total = torch.stack([leaf.sum() for leaf in tensors_of(new)]).sum()
            acting = torch.autograd.grad(total, parameters, allow_unused=True)
        names = tuple(name for name, g in zip(self.names, acting, strict=True) if g is not None)
        system = ModelSystem(self.model, names, self.form, self.leaves, x)
        system.at(x, side_by_side(self.leaves)).jacobian()
        return system


def _direct(part: _Part, run: _Run, like: Tensor) -> Tensor:
    """∂L_t/∂s_t [B, S] of a part, zero where the loss does not reach it."""
    # The backward pass goes down a stack, from the highest layer that the loss reaches to layer 0.
    runs, (depth,) = run.recordings[part.layer].runs[::-1], part.depths
    return (
        torch.cat([member[0] for member in runs[depth].direct], dim=-1) if depth < len(runs) else torch.zeros_like(like)
    )


def _pulled_back(pairs: list[tuple[Tensor, Tensor]], parameters: list[nn.Parameter]) -> tuple[Tensor | None, ...]:
    """Pull gradients of weights back to the parameters that the weights are, or are computed from.

    Args:
        pairs: weights, and their gradients.
        parameters: the model's.

    Returns:
        The gradient of each parameter; None where no weight depends on it.
    """
    if not pairs:
        return (None,) * len(parameters)
    weights, gradients = zip(*pairs, strict=True)
    return torch.autograd.grad(weights, parameters, gradients, allow_unused=True)


def _check_same(before: dict[str, Tensor], now: dict[str, Tensor]) -> None:
    """Refuse weights that are computed anew, with another result, at each use."""
    for name, weight in before.items():
        if not torch.equal(weight, now[name]):
            raise UnsupportedError(
                f"model's weight {name!r} comes out differently each time it is computed (dropped at random, or a "
                "spectral norm in training?), and a forward method carries the influence of the same weights along: "
                "call model.eval(), or use TruncatedBPTT"
            )


def _check_handed_on(run: _Run) -> None:
    """Refuse a model that returns another state than its layers left."""
    # Each tensor of the state is known by its identity: it entered a single layer, which left a tensor in its place.
    left = {
        id(before): after
        for visit in run.visits.values()
        for before, after in zip(visit.entering, visit.leaving, strict=True)
    }
    for leaf, after in zip(run.leaves, tensors_of(run.state), strict=True):
        of_layer = left[id(leaf)]
        if after.data_ptr() != of_layer.data_ptr() and not torch.equal(after, of_layer):
            raise UnsupportedError(
                "model returns another state than its recurrent layers left; a forward method could not follow its "
                "influence: return it unchanged, and do in the next step what is to be done with it"
            )


def _system(layer: RecurrentLayer, depths: tuple[int, ...]) -> CellSystem | StackSystem:
    systems = tuple(CellSystem(*layer.cell_and_parameters(depth)) for depth in depths)
    return systems[0] if len(systems) == 1 else StackSystem(systems)
