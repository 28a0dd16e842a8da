"""The online learner: predict, compare and learn at every step of a stream."""

import copy
import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor, nn
from torch.optim import Optimizer

from throughtime.clipping import ClipReport, clip_gradients
from throughtime.errors import ArgumentError, NonFiniteError
from throughtime.gradients.base import GradientMethod
from throughtime.gradients.forward import ForwardMethod
from throughtime.gradients.rtrl import RTRL
from throughtime.inference_mode import ordinary
from throughtime.models.contexts import side_effects_undone
from throughtime.online.arguments import (
    NonFinitePolicy,
    check_construction,
    check_graphs_recorded,
    check_parameters,
    check_step,
)
from throughtime.online.carried import Carried
from throughtime.online.engine import Engine, StepLoss
from throughtime.online.window import WindowEngine

_ALLOWED_STATE = "it must be what OnlineLearner.state_dict() returned"


class OnlineStep(NamedTuple):
    """Result of a step.

    Attributes:
        prediction: made before learning from the target.
        loss: of the prediction; None without a target.
    """

    prediction: Tensor
    loss: Tensor | None


class OnlineLearner:
    """Learn from streams step by step, in memory that does not grow with their length.

    Each step predicts, takes the gradient of its loss, and carries the state on; every `update_every` steps the weights
    are updated with the mean gradient of the losses since the last update ([T]: "every N steps").

    The gradient depends on the method. Forward methods (RTRL, SnAp, UORO, RFLO, EProp) carry the influence of the
    weights on the state along, without end. Each step adds to the influence under the weights at that step, so that
    after updates the result is the gradient in the limit of a small learning rate. RTRL, SnAp and UORO treat all
    recurrent layers of a model as a single recurrence, so that RTRL stays exact; RFLO and EProp treat each layer
    alone. If parameters below the recurrent layers act on the state too (an embedding), `torch.func` differentiates
    the whole model, which is slower. All other methods keep the latest steps and run them again at each update, under
    the present weights: TruncatedBPTT(horizon) with each loss reaching back `horizon` steps, whatever `update_every`
    is; BPTT and the other exact methods back to the last update.

    Args:
        model: model(x, state) → (output, state), with x [time, batch, …], output [time, batch, …] and a state made of
            tensors [layers, batch, size], None for zero; any recurrent layer of throughtime is such a model. Several
            steps in a single call must give the same as step by step, for methods that run steps again; with `reset`
            the model must then also take `resets` [time, batch] and pass it to its layers.
        loss: of a step: (prediction [batch, …], target [batch, …]) → a scalar, such as torch.nn.functional.mse_loss.
        optimizer: over the model's parameters.
        gradient: the method; RTRL() by default.
        update_every: N, steps from update to update.
        clip: the largest norm of the whole gradient at an update; None for no clipping.
        nonfinite: if a loss or a gradient is NaN or infinite: "raise" an error, or "skip" that step or update and count
            it in `skipped`. Either way no weight is changed by it. A reset that came with a skipped step acts at the
            next step. After a skipped update, or where the state was not finite, the learner forgets the steps before,
            and rows whose state is not finite start anew.

    Attributes:
        steps, updates, skipped: counts.
        clipping: the report on the gradient at the latest update, with its norm; None before the first update.

    Raises:
        ArgumentError, UnsupportedError: before any work; a step that is refused leaves the learner as it was.

    Examples:
        >>> import throughtime as tt
        >>> rnn = tt.RNN(3, 5)
        >>> learner = OnlineLearner(rnn, torch.nn.functional.mse_loss, torch.optim.SGD(rnn.parameters(), lr=0.1))
        >>> for _ in range(4):
        ...     prediction, loss = learner.step(torch.randn(2, 3), torch.zeros(2, 5))
        >>> prediction.shape, learner.steps, learner.updates
        (torch.Size([2, 5]), 4, 4)
    """

    def __init__(
        self,
        model: nn.Module,
        loss: StepLoss,
        optimizer: Optimizer,
        gradient: GradientMethod | None = None,
        update_every: int = 1,
        *,
        clip: float | None = None,
        nonfinite: NonFinitePolicy = "raise",
    ) -> None:
        gradient = RTRL() if gradient is None else gradient
        check_construction(model, loss, optimizer, gradient, update_every, clip, nonfinite)
        self.model, self.optimizer, self.update_every = model, optimizer, int(update_every)
        self.gradient, self.clip, self.nonfinite = gradient, clip, nonfinite
        self.steps = self.updates = self.skipped = 0
        self._engine: Engine = (
            Carried(model, loss, gradient)
            if isinstance(gradient, ForwardMethod)
            else WindowEngine(model, loss, gradient, self.update_every)
        )
        self.clipping: ClipReport | None = None
        self._steps_since_update = 0
        self._as_built = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
        # The resets of skipped steps, which act at the next step.
        self._owed_resets: Tensor | None = None
        # Inputs and targets, whose shapes and dtypes all other steps must have.
        self._earlier_step: tuple[Tensor, Tensor | None] | None = None

    @property
    def state(self) -> Any:
        """The state of the model after the latest step; None before the first step."""
        return self._engine.nest(self._engine.leaves) if self._engine.leaves else None

    def prepare(self, x_t: Tensor) -> None:
        """Check the model with the inputs of a first step, and learn nothing.

        The first step does the same by itself.

        Raises:
            ArgumentError, UnsupportedError: for what the first step would refuse.
        """
        check_graphs_recorded("prepare")
        if not self._engine.leaves:
            self._begin(ordinary(x_t))

    def step(self, x_t: Tensor, y_t: Tensor | None = None, reset: Bool[Tensor, " batch"] | None = None) -> OnlineStep:
        """Predict, learn from the target if given, and carry the state on.

        Args:
            x_t: the inputs of this step, [batch, …].
            y_t: the targets [batch, …]; without them (None) the state goes on and nothing is learned.
            reset: [batch], True where a stream starts anew: before this step its state returns to zero.
        """
        check_graphs_recorded("step")
        check_step(x_t, y_t, reset, self._earlier_step)
        check_parameters(self.model, self._as_built)
        x_t, y_t = ordinary(x_t), None if y_t is None else ordinary(y_t)
        reset = self._due(reset)
        self.prepare(x_t)
        prediction, loss = self._engine.try_step(x_t, y_t, reset)
        if self._earlier_step is None or self._earlier_step[1] is None:  # until a step has come with a target
            self._earlier_step = x_t, y_t
        if loss is not None and not math.isfinite(float(loss)):
            self._raise_or_count(f"the loss at step {self.steps} (counted from 0) is {float(loss)}")
            self._owed_resets = reset
            if not self._engine.finite:
                self._engine.start_anew_where_not_finite()
            return OnlineStep(prediction, loss)
        self._engine.commit()
        self._owed_resets = None
        self.steps += 1
        self._steps_since_update += 1
        if self._steps_since_update >= self.update_every:
            self.update()
        return OnlineStep(prediction, loss)

    def update(self) -> None:
        """Update the weights now, with the losses since the last update."""
        check_graphs_recorded("update")
        gradient = self._engine.gradient()
        self._steps_since_update = 0
        if gradient is None:
            return
        for name, parameter in self.model.named_parameters():
            parameter.grad = gradient.get(name)
        self.clipping = report = clip_gradients(self.model, norm=self.clip, nonfinite="report")
        if report.nonfinite is not None:
            self.optimizer.zero_grad()
            self._raise_or_count(f"update {self.updates} (counted from 0): {report.nonfinite.rstrip('.')}")
            self._engine.start_anew_where_not_finite()
            return
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.updates += 1

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next step depends on.

        That includes the states of model, optimiser and random generator. A learner built in the same way that loads
        it goes on bit for bit. It has tensors and plain values only, and no tensor that the learner will change.
        """
        return {
            "gradient": repr(self.gradient),
            "update_every": self.update_every,
            "counts": (self.steps, self.updates, self.skipped, self._steps_since_update),
            "like": self._earlier_step,
            "owed": self._owed_resets,
            "state": self._engine.leaves,
            "memory": self._engine.memory(),
            "model": copy.deepcopy(self.model.state_dict()),
            "optimizer": copy.deepcopy(self.optimizer.state_dict()),
            "random": torch.get_rng_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ArgumentError: for the state of a learner with another method or interval, or of something else.
        """
        check_graphs_recorded("load_state_dict")
        if not isinstance(state, dict):
            raise ArgumentError("state", f"is a {type(state).__name__}", _ALLOWED_STATE)
        missing = sorted(self.state_dict().keys() - state.keys())
        if missing:
            raise ArgumentError("state", f"lacks {missing[0]!r}", _ALLOWED_STATE)
        for name, present in (("gradient", repr(self.gradient)), ("update_every", self.update_every)):
            if state[name] != present:
                raise ArgumentError(
                    "state",
                    f"comes from a learner with {name} = {state[name]}",
                    f"here {name} = {present}",
                    "build both learners alike",
                )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        self.steps, self.updates, self.skipped, self._steps_since_update = state["counts"]
        self._earlier_step, self._owed_resets = state["like"], state["owed"]
        if self._engine.leaves:
            self._engine.forget()
            self._engine.leaves = ()
        if self._earlier_step is not None:
            self._begin(self._earlier_step[0])
            self._engine.leaves = tuple(leaf.clone() for leaf in state["state"])
            self._engine.restore(state["memory"])
        torch.set_rng_state(state["random"])

    def _begin(self, x_t: Tensor) -> None:
        try:
            with side_effects_undone(self.model):
                self._engine.begin(x_t)
        except Exception:
            self._engine.leaves = ()  # not begun: the next step tries again
            raise

    def _due(self, reset: Tensor | None) -> Tensor | None:
        """The resets of this step and of skipped steps; None where no row is reset."""
        due = [flags for flags in (reset, self._owed_resets) if flags is not None]
        together = torch.stack(due).any(dim=0) if due else None
        return together if together is not None and bool(together.any()) else None

    def _raise_or_count(self, sentence: str) -> None:
        """Raise for a number that is not finite, or count it as skipped."""
        if self.nonfinite == "raise":
            raise NonFiniteError(
                f"{sentence}; no weight was changed by it: lower the learning rate, give clip=…, or nonfinite='skip' "
                "to pass over such steps"
            )
        self.skipped += 1
