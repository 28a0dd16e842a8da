"""The learner: predicts, compares and learns at every step of a stream."""

import copy
import math
from typing import Any, Literal, NamedTuple, get_args

import torch
from jaxtyping import Bool
from torch import Tensor, nn
from torch.optim import Optimizer

from throughtime.cells.base import check_size
from throughtime.clipping import ClipReport, clip_gradients
from throughtime.errors import ArgumentError, NonFiniteError, UnsupportedError
from throughtime.gradients.base import GradientMethod
from throughtime.gradients.forward import ForwardMethod
from throughtime.gradients.rtrl import RTRL
from throughtime.gradients.unchanged import unchanged
from throughtime.online.carried import CarriedEngine
from throughtime.online.engine import Engine, StepLoss
from throughtime.online.window import WindowEngine

NonFinite = Literal["raise", "skip"]


class OnlineStep(NamedTuple):
    """What a step gave: the prediction, made before any learning from its target, and its loss (None without one)."""

    prediction: Tensor
    loss: Tensor | None


class OnlineLearner:
    """Learning from streams, step by step, in memory that does not grow with their length ([T]: "every N steps").

    Each step predicts, takes the gradient of its loss, and carries the state on; every `update_every` steps the weights
    are updated with the mean gradient of the losses since the last update.

    What the gradient is depends on the method. The forward ones (RTRL, SnAp, UORO, RFLO, EProp) carry the influence of
    the weights on the state along, without end; where the weights change on the way it is that of the weights of then,
    which is the gradient in the limit of a small learning rate. Layers stacked in one module, or in one model, are one
    recurrence to RTRL, SnAp and UORO, so that RTRL stays exact; to RFLO and EProp each keeps to its own weights. If
    parameters below the recurrent layers act on the state too (an embedding), `torch.func` differentiates the whole
    model, which is slower. All other methods keep the latest steps and run them again at each update, under the
    weights of then: TruncatedBPTT(horizon) with each loss reaching back `horizon` steps, whatever `update_every`
    is; BPTT and its kin back to the last update.

    Args:
        model: model(x, state) → (output, state), with x [time, batch, …], output [time, batch, …] and a state made of
            tensors [layers, batch, size], None for zero; any of throughtime's recurrent layers is one. Several steps in
            one call must give what they give one by one, as a method that runs steps again relies on; with `reset` it
            must then also take `resets` [time, batch] and pass it to its layers.
        loss: of one step: (prediction [batch, …], target [batch, …]) → a scalar, such as torch.nn.functional.mse_loss.
        optimizer: over the model's parameters.
        gradient: the method; RTRL() by default.
        update_every: N, steps from update to update.
        clip: the largest norm of the whole gradient at an update; None for no clipping.
        nonfinite: if a loss or a gradient is NaN or infinite: "raise" an error, or "skip" that step or update and count
            it in `skipped`. Either way no weight is changed by it. A row that was to be reset at a skipped step is at
            the next. After a skipped update, or where the state was not finite, the learner forgets the steps before,
            and rows whose state is not finite start anew.

    Attributes:
        steps, updates, skipped: counts.
        clipping: what was found of the gradient at the latest update, its norm among it; None before the first.

    Raises:
        ArgumentError, UnsupportedError: before any work, by name; a step that is refused leaves the learner as it was.

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
        nonfinite: NonFinite = "raise",
    ) -> None:
        gradient = RTRL() if gradient is None else gradient
        _check_arguments(model, loss, optimizer, gradient, update_every, clip, nonfinite)
        self.model, self.optimizer, self.update_every = model, optimizer, update_every
        self.gradient, self.clip, self.nonfinite = gradient, clip, nonfinite
        self.steps = self.updates = self.skipped = 0
        self._engine: Engine = (
            CarriedEngine(model, loss, gradient)
            if isinstance(gradient, ForwardMethod)
            else WindowEngine(model, loss, gradient, update_every)
        )
        self.clipping: ClipReport | None = None
        self._since = 0
        self._own = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
        self._owed: Tensor | None = None
        """The resets of steps that were skipped, which the next one takes."""
        self._like: tuple[Tensor, Tensor | None] | None = None

    @property
    def state(self) -> Any:
        """The model's state after the latest step, as the model gives it; None before the first."""
        return self._engine.nest(self._engine.leaves) if self._engine.leaves else None

    def prepare(self, x_t: Tensor) -> None:
        """Refuse now what the first step would refuse, given its inputs; nothing is learned. A step does it by itself.

        Raises:
            ArgumentError, UnsupportedError: by name.
        """
        if not self._engine.leaves:
            self._begin(x_t)

    def step(self, x_t: Tensor, y_t: Tensor | None = None, reset: Bool[Tensor, " batch"] | None = None) -> OnlineStep:
        """Take one step.

        Args:
            x_t: the inputs of this step, [batch, …].
            y_t: their targets [batch, …]; None where there is none: the state goes on, nothing is learned.
            reset: [batch], True where a stream starts anew: before this step its state returns to zero.
        """
        self._check_step(x_t, y_t, reset)
        x_t, y_t = _ordinary(x_t), None if y_t is None else _ordinary(y_t)
        reset = self._due(reset)
        self.prepare(x_t)
        prediction, loss = self._engine.try_step(x_t, y_t, reset)
        if self._like is None or self._like[1] is None:
            self._like = x_t, y_t
        if loss is not None and not math.isfinite(float(loss)):
            self._refuse(f"the loss at step {self.steps} (counted from 0) is {float(loss)}")
            self._owed = reset
            if not self._engine.finite:
                self._engine.start_anew_where_not_finite()
            return OnlineStep(prediction, loss)
        self._engine.commit()
        self._owed = None
        self.steps += 1
        self._since += 1
        if self._since >= self.update_every:
            self.update()
        return OnlineStep(prediction, loss)

    def update(self) -> None:
        """Update the weights now, with the losses since the last update; at the end of a stream, say."""
        gradient = self._engine.gradient()
        self._since = 0
        if gradient is None:
            return
        for name, parameter in self.model.named_parameters():
            parameter.grad = gradient.get(name)
        self.clipping = report = clip_gradients(self.model, norm=self.clip, nonfinite="report")
        if report.nonfinite is not None:
            self.optimizer.zero_grad()
            self._refuse(f"update {self.updates} (counted from 0): {report.nonfinite.rstrip('.')}")
            self._engine.start_anew_where_not_finite()
            return
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.updates += 1

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on: the learner's own memory, model, optimiser and random state.

        Loaded into a learner built in the same way, it goes on bit for bit. Tensors and plain values only, and none
        that the learner will change.
        """
        return {
            "gradient": repr(self.gradient),
            "update_every": self.update_every,
            "counts": (self.steps, self.updates, self.skipped, self._since),
            "like": self._like,
            "owed": self._owed,
            "state": self._engine.leaves,
            "memory": self._engine.memory(),
            "model": copy.deepcopy(self.model.state_dict()),
            "optimizer": copy.deepcopy(self.optimizer.state_dict()),
            "random": torch.get_rng_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave.

        Raises:
            ArgumentError: it is that of a learner with another method or interval, or not a learner's at all.
        """
        missing = sorted(self.state_dict().keys() - state.keys())
        if missing:
            raise ArgumentError(f"the state lacks {missing[0]!r}; give what OnlineLearner.state_dict() returned")
        for name, own in (("gradient", repr(self.gradient)), ("update_every", self.update_every)):
            if state[name] != own:
                raise ArgumentError(
                    f"the state is that of a learner with {name} = {state[name]}, this one has {own}; build it alike"
                )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        self.steps, self.updates, self.skipped, self._since = state["counts"]
        self._like, self._owed = state["like"], state["owed"]
        if self._engine.leaves:
            self._engine.forget()
            self._engine.leaves = ()
        if self._like is not None:
            self._begin(self._like[0])
            self._engine.leaves = tuple(leaf.clone() for leaf in state["state"])
            self._engine.remember(state["memory"])
        torch.set_rng_state(state["random"])

    def _begin(self, x_t: Tensor) -> None:
        try:
            with unchanged(self.model):
                self._engine.begin(x_t)
        except Exception:
            self._engine.leaves = ()  # not begun: the next step tries again
            raise

    def _due(self, reset: Tensor | None) -> Tensor | None:
        """This step's resets with those owed; None where there are none."""
        due = [flags for flags in (reset, self._owed) if flags is not None]
        together = torch.stack(due).any(dim=0) if due else None
        return together if together is not None and bool(together.any()) else None

    def _refuse(self, sentence: str) -> None:
        """Something is not finite: raise, or count it."""
        if self.nonfinite == "raise":
            raise NonFiniteError(
                f"{sentence}; no weight was changed by it: lower the learning rate, give clip=…, or nonfinite='skip' "
                "to pass over such steps"
            )
        self.skipped += 1

    def _check_step(self, x_t: Tensor, y_t: Tensor | None, reset: Tensor | None) -> None:
        if torch.is_inference_mode_enabled():
            raise UnsupportedError(
                "step was called inside torch.inference_mode(), where nothing can be differentiated: call it outside; "
                "torch.no_grad() does no harm"
            )
        self._check_parameters()
        x_before, y_before = self._like or (None, None)
        _check_values("x_t", x_t, x_before)
        if y_t is not None:
            _check_values("y_t", y_t, y_before)
            if y_t.dim() and len(y_t) != len(x_t):
                raise ArgumentError(f"y_t has {len(y_t)} rows, x_t has {len(x_t)}; each row needs its target")
        if reset is not None and (
            not isinstance(reset, Tensor) or reset.dtype != torch.bool or tuple(reset.shape) != (len(x_t),)
        ):
            came = f"{reset.dtype} {tuple(reset.shape)}" if isinstance(reset, Tensor) else type(reset).__name__
            raise ArgumentError(f"reset is {came}; it must be a bool tensor ({len(x_t)},), one flag a row")

    def _check_parameters(self) -> None:
        now = list(self.model.named_parameters())
        for (name, parameter), (own, wanted) in zip(now, self._own, strict=False):
            if parameter is not own or parameter.requires_grad != wanted:
                raise ArgumentError(
                    f"model's parameter {name!r} has been replaced, frozen or set free since the learner was built, "
                    "which neither it nor the optimizer knows: build a new learner"
                )
        if len(now) != len(self._own):
            raise ArgumentError(f"model has {len(now)} parameters, and had {len(self._own)} when the learner was built")


def _ordinary(value: Tensor) -> Tensor:
    """A tensor that can be saved for a backward pass."""
    return value.clone() if value.is_inference() else value


def _check_values(name: str, value: object, before: Tensor | None) -> None:
    if not isinstance(value, Tensor) or not value.dim() or not len(value):
        came = f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise ArgumentError(f"{name} is {came}; it must be a tensor [batch, …] with at least one row")
    if before is not None and (value.shape != before.shape or value.dtype != before.dtype):
        raise ArgumentError(
            f"{name} is {value.dtype} {tuple(value.shape)}, at the first step it was {before.dtype} "
            f"{tuple(before.shape)}; the streams must stay the same: build a new learner for others"
        )
    if value.is_floating_point() and not bool(value.isfinite().all()):
        row = int((~value.isfinite()).flatten(1).any(dim=1).nonzero()[0]) if value.dim() > 1 else 0
        raise ArgumentError(
            f"{name} has a value that is missing or infinite (row {row}); a stream needs numbers: fill it in, "
            "leave the step out, or for a target pass y_t=None"
        )


def _check_arguments(
    model: object,
    loss: object,
    optimizer: object,
    gradient: object,
    update_every: object,
    clip: object,
    nonfinite: object,
) -> None:
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"model is a {type(model).__name__}; it must be a torch.nn.Module")
    if not callable(loss):
        raise ArgumentError(f"loss is a {type(loss).__name__}; it must be a function (prediction, target) → one number")
    if not isinstance(optimizer, Optimizer):
        raise ArgumentError(f"optimizer is a {type(optimizer).__name__}; it must be one of torch.optim's")
    if not isinstance(gradient, GradientMethod):
        raise ArgumentError(f"gradient is {gradient!r}; it must be a gradient method such as throughtime.RTRL()")
    check_size("update_every", update_every, least=1)
    if clip is not None and not (isinstance(clip, int | float) and clip > 0):
        raise ArgumentError(f"clip is {clip!r}; it must be a norm above 0, or None for no clipping")
    if nonfinite not in get_args(NonFinite):
        raise ArgumentError(f"nonfinite is {nonfinite!r}; it must be 'raise' or 'skip'")
    own = {id(parameter): parameter.requires_grad for parameter in model.parameters()}
    held = {id(value) for group in optimizer.param_groups for value in group["params"]}
    if not any(own.get(one) for one in held):
        raise ArgumentError(
            "optimizer holds none of the model's parameters that require a gradient; build it with model.parameters()"
        )
    if held - own.keys():
        raise ArgumentError(
            "optimizer holds tensors that are not the model's, and would never get a gradient; let the model be all "
            "that learns, its readout too, and build the optimizer with model.parameters()"
        )
