"""The engine that keeps the latest steps, for backpropagation through time on a stream."""

import inspect
from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from throughtime.errors import UnsupportedError
from throughtime.gradients.base import GradientMethod
from throughtime.gradients.checkpointed import CheckpointedBPTT
from throughtime.gradients.truncated import TruncatedBPTT
from throughtime.models.contexts import differentiated_by
from throughtime.online.engine import Engine, StepLoss
from throughtime.types import State


@dataclass(frozen=True)
class _Moment:
    """A past step: its inputs, targets and resets, and the state that entered it."""

    x: Tensor
    y: Tensor | None
    reset: Bool[Tensor, " batch"] | None
    entering: State


class _Trial(NamedTuple):
    """A step that was tried and not taken yet, and the new state."""

    moment: _Moment
    leaving: State


class WindowEngine(Engine):
    """Engine that keeps the latest steps, and runs them again at each update.

    An update uses the losses since the update before, under the present weights. With TruncatedBPTT each loss reaches
    back through `horizon` steps, also past earlier updates; with any other method back to the last update, where the
    window begins. The state that enters the window was computed with older weights, and is constant.

    Cost: `update_every` + `horizon` - 1 steps in memory; each step is run a first time for its prediction and about
    (update_every + horizon) / update_every times for the gradient.
    """

    def __init__(self, model: nn.Module, loss: StepLoss, method: GradientMethod, update_every: int) -> None:
        super().__init__(model, loss, method)
        # How many steps are kept from before the last update.
        self._kept_before = method.horizon - 1 if isinstance(method, TruncatedBPTT) else 0
        self._update_every = update_every
        self._moments: deque[_Moment] = deque()
        self._trial: _Trial | None = None
        self._steps_since_update = 0
        self._takes_resets = "resets" in inspect.signature(model.forward).parameters

    def begin(self, x: Tensor) -> None:
        super().begin(x)
        if isinstance(self.method, CheckpointedBPTT):  # to refuse a memory that is too small before any work
            for cell in self.cells():
                self.method.plan(cell, self._update_every, len(x), self.leaves[0].dtype)

    def try_step(
        self, x: Tensor, y: Tensor | None, reset: Bool[Tensor, " batch"] | None
    ) -> tuple[Tensor, Tensor | None]:
        # A reset at the first step of the window is already in the state that enters it.
        if (
            reset is not None
            and not self._takes_resets
            and (self._steps_since_update or self._kept_before)
            and self._moments
        ):
            raise UnsupportedError(
                f"reset came, but {type(self.model).__name__}.forward takes no `resets`, with which {self.method} runs "
                "the latest steps again: let forward(x, state, resets=None) pass it on to its recurrent layers"
            )
        # Copies, because the caller may fill the same tensors with the next step.
        kept = (None if value is None else value.detach().clone() for value in (x, y, reset))
        moment = _Moment(*kept, self.entering_state(reset))  # type: ignore[arg-type]  (x is never None)
        with torch.no_grad():
            output, new = self.model(x[None], self.nest(moment.entering))
            loss = None if y is None else self.loss_of(output[0], y)
        self._trial = _Trial(moment, self.flat(new))
        return output[0], loss

    def commit(self) -> None:
        assert self._trial is not None
        moment, self.leaves = self._trial
        self._trial = None
        self._moments.append(moment)
        self._steps_since_update += 1
        while len(self._moments) > self._steps_since_update + self._kept_before:
            self._moments.popleft()

    def gradient(self) -> dict[str, Tensor] | None:
        window, new, self._steps_since_update = list(self._moments), self._steps_since_update, 0
        with_target = [t for t in range(len(window) - new, len(window)) if window[t].y is not None]
        if not with_target:
            return None
        with torch.enable_grad(), differentiated_by(self.layers.values(), self.method):
            output, _ = self.model(
                torch.stack([moment.x for moment in window]), self.nest(window[0].entering), **self._resets(window)
            )
            loss = torch.stack([self.loss_of(output[t], window[t].y) for t in with_target]).mean()  # type: ignore[arg-type]
            parameters = [self.model.get_parameter(name) for name in self.names]
            gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        return {name: g for name, g in zip(self.names, gradients, strict=True) if g is not None}

    def forget(self) -> None:
        self._moments.clear()
        self._steps_since_update = 0

    def memory(self) -> dict[str, Any]:
        return {"moments": [vars(moment) for moment in self._moments], "since": self._steps_since_update}

    def restore(self, memory: dict[str, Any]) -> None:
        self._moments.clear()
        self._moments.extend(_Moment(**moment) for moment in memory["moments"])
        self._steps_since_update = memory["since"]

    @staticmethod
    def _resets(window: list[_Moment]) -> dict[str, Tensor]:
        """Stack the resets inside the window.

        A reset at the first step is already in the state that enters it.
        """
        flags = [moment.reset for moment in window]
        flags[0] = None
        given = next((flag for flag in flags if flag is not None), None)
        if given is None:
            return {}
        nothing = torch.zeros_like(given)
        return {"resets": torch.stack([nothing if flag is None else flag for flag in flags])}
