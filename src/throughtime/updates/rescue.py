"""Policies for non-finite gradients."""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from throughtime.checks import check_size
from throughtime.clipping import FirstNonFinite, clip_gradients
from throughtime.errors import ArgumentError, NonFiniteError
from throughtime.wording import plural

POLICIES = ("raise", "stop", "skip", "rescale", "restore")
MOST_IN_A_ROW = 10
"""Non-finite gradients in a row after which every policy raises."""


@dataclass(frozen=True)
class Checked:
    """Gradient as passed to the optimiser, after clipping and checks.

    Attributes:
        total_norm: before anything was done; infinite or NaN if it was not finite.
        scale: what its (finite) entries were multiplied by; 0: the update moves nothing.
        clipped: whether clipping changed it.
        sentence: where it was not finite and what was done; None if it was finite.
    """

    total_norm: float
    scale: float
    clipped: bool
    sentence: str | None = None


class Rescue:
    """Policy for non-finite gradients, with clipping of the finite.

    Args:
        policy: "raise" an error; "skip": the update changes neither weights nor the optimiser's state; "stop": as skip,
            and the caller ends the training; "rescale": entries that are not finite become 0, and the rest is scaled
            down to the norm of the last finite gradient if its own is larger; "restore": as skip, with weights, buffers
            and the optimiser's state as they were at the latest copy. The learning rate is never changed.
        keep_every: updates between two copies for "restore"; the latest copy, of a model and an optimiser state, stays
            in memory. A copy is taken only where the gradient of these very weights was finite.

    A gradient that is not finite raises under every policy where nothing finite came before it that the policy needs,
    where weights that are not finite would stay, and after 10 such updates in a row.
    """

    def __init__(self, policy: str = "raise", keep_every: int = 100) -> None:
        if policy not in POLICIES:
            raise ArgumentError("nonfinite", f"is {policy!r}", f"it must be one of {', '.join(POLICIES)}")
        self.policy = policy
        self.keep_every = check_size("keep_every", keep_every, 1)
        self.rescues = 0
        self._in_a_row = 0
        self._last_finite_norm: float | None = None
        self._copy: dict[str, Any] | None = None
        self._updates_since_copy = 0

    def check(
        self, model: nn.Module, optimizer: Optimizer, tap: FirstNonFinite | None, clip_norm: float | None = None
    ) -> Checked:
        """Clip the gradients of `model`, and apply the policy where they are not finite.

        Raises:
            NonFiniteError: see above; weights, optimiser and gradients are then as they came.
        """
        report = clip_gradients(model, norm=clip_norm, nonfinite="report", tap=tap)
        if report.nonfinite is not None:
            sentence = report.nonfinite.rstrip(".")
            scale, done = self._act(model, optimizer, sentence, clip_norm)
            return Checked(report.total_norm, scale, scale < 1, f"{sentence}; {done}.")
        self._in_a_row, self._last_finite_norm = 0, report.total_norm
        if self.policy == "restore":
            self._keep(model, optimizer)
        return Checked(report.total_norm, report.scale, report.clipped)

    def _act(self, model: nn.Module, optimizer: Optimizer, sentence: str, clip_norm: float | None) -> tuple[float, str]:
        """Apply the policy; return the scale and a description."""
        if self.policy == "raise":
            raise NonFiniteError(f"{sentence}.")
        culprit = first_nonfinite_weights(model)
        if culprit is not None and self.policy != "restore":
            raise NonFiniteError(
                f"{sentence}; the weights {culprit} hold NaN or infinity, which only restore can mend."
            )
        if self._in_a_row >= MOST_IN_A_ROW:
            raise NonFiniteError(f"{sentence}; so it was in the {MOST_IN_A_ROW} updates before.")
        scale, done = 0.0, "the update was skipped"
        if self.policy == "rescale":
            if self._last_finite_norm is None:
                raise NonFiniteError(f"{sentence}; no finite gradient came before it, whose norm it could be given.")
            scale = self._rescale(model, clip_norm)
            done = f"these entries were set to 0 and the rest multiplied by {scale:.3g}"
        elif self.policy == "restore":
            gone = plural(self._restore(model, optimizer, sentence), "update")
            done = f"weights and optimiser are again those of {gone} ago"
        if scale == 0:
            drop_gradients(model.parameters())
        self.rescues += 1
        self._in_a_row += 1
        return scale, done

    def _rescale(self, model: nn.Module, clip_norm: float | None) -> float:
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad = torch.nan_to_num(parameter.grad, nan=0.0, posinf=0.0, neginf=0.0)
        limit = min(self._last_finite_norm or 0.0, clip_norm or float("inf"))
        return clip_gradients(model, norm=limit).scale if limit else 0.0

    def _keep(self, model: nn.Module, optimizer: Optimizer) -> None:
        """Copy weights and optimiser before the update, every `keep_every` updates."""
        if self._copy is None or self._updates_since_copy >= self.keep_every:
            self._copy = {"model": copied(model.state_dict()), "optimizer": deepcopy(optimizer.state_dict()["state"])}
            self._updates_since_copy = 0
        self._updates_since_copy += 1

    def _restore(self, model: nn.Module, optimizer: Optimizer, sentence: str) -> int:
        if self._copy is None:
            raise NonFiniteError(f"{sentence}; there is no earlier update with a finite gradient to go back to.")
        model.load_state_dict(self._copy["model"])
        # The learning rates stay those of the schedule; copied, because the optimiser goes on in what it is given.
        optimizer.load_state_dict({**optimizer.state_dict(), "state": deepcopy(self._copy["optimizer"])})
        gone, self._updates_since_copy = self._updates_since_copy, 0
        return gone

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resumed training needs."""
        return {
            "rescues": self.rescues,
            "in_a_row": self._in_a_row,
            "norm": self._last_finite_norm,
            "kept": self._copy,
            "since": self._updates_since_copy,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""
        self.rescues, self._in_a_row = state["rescues"], state["in_a_row"]
        self._last_finite_norm, self._copy, self._updates_since_copy = state["norm"], state["kept"], state["since"]


def first_nonfinite_weights(model: nn.Module) -> str | None:
    """Return the name of the first parameter with NaN or infinity, or None."""
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            return name
    return None


def drop_gradients(parameters: Iterable[Tensor]) -> None:
    """Set every gradient to None, so that optimisers skip these parameters."""
    for parameter in parameters:
        parameter.grad = None


def copied(state: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of a state dict, on the same device."""
    return {name: value.clone() if isinstance(value, Tensor) else deepcopy(value) for name, value in state.items()}
