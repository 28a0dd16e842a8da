"""The gradient methods that a run can choose from: one table, from the name to the method and the options it reads.

No torch here but inside the functions: the settings ask this table whether their options fit together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from throughtime.errors import ArgumentError

if TYPE_CHECKING:
    from throughtime.gradients import GradientMethod
    from throughtime.training.settings import OptimizationSettings


@dataclass(frozen=True)
class Choice:
    """A gradient method of the command.

    Attributes:
        make: from a run's settings to the method.
        options: the settings that it reads; any other method's are refused beside it.
        needs: options of which exactly one must be given; empty: none need be.
    """

    make: Callable[[OptimizationSettings], GradientMethod]
    options: tuple[str, ...]
    needs: tuple[str, ...] = ()


def _bptt(settings: OptimizationSettings) -> GradientMethod:
    from throughtime.gradients import BPTT

    return BPTT(clip_step=settings.clip_step or None, save=settings.save)


def _truncated(settings: OptimizationSettings) -> GradientMethod:
    from throughtime.gradients import TruncatedBPTT

    return TruncatedBPTT(horizon=settings.horizon)


def _checkpointed(settings: OptimizationSettings) -> GradientMethod:
    from throughtime.gradients import CheckpointedBPTT

    return CheckpointedBPTT(
        clip_step=settings.clip_step or None, segments=settings.segments or None, memory=settings.memory or None
    )


METHODS: dict[str, Choice] = {
    "bptt": Choice(_bptt, ("save", "clip_step")),
    "truncated": Choice(_truncated, ("horizon",), ("horizon",)),
    "checkpointed": Choice(_checkpointed, ("segments", "memory", "clip_step"), ("segments", "memory")),
}


def gradient_method(settings: OptimizationSettings) -> GradientMethod:
    """Return the method that the settings choose."""
    return METHODS[settings.gradient].make(settings)


def steps_run_again(settings: OptimizationSettings) -> int:
    """Return how many steps before a chunk are run again with it, so that its first loss reaches back the horizon."""
    return max(0, settings.horizon - 1)


def check_choice(settings: OptimizationSettings) -> None:
    """Raise `ArgumentError` for a method that is none, an option that it has no use for, or one that it lacks."""
    if settings.gradient not in METHODS:
        raise ArgumentError(f"--gradient is {settings.gradient}; it must be one of {', '.join(METHODS)}.")
    choice = METHODS[settings.gradient]
    defaults = {entry.name: entry.default for entry in fields(settings)}
    for name in dict.fromkeys(name for other in METHODS.values() for name in other.options):
        if name not in choice.options and getattr(settings, name) != defaults[name]:
            users = " or ".join(method for method, other in METHODS.items() if name in other.options)
            raise ArgumentError(
                f"{_flag(name)} is {getattr(settings, name)}, and --gradient {settings.gradient} has no use for it: "
                f"leave it out, or choose --gradient {users}."
            )
    given = [name for name in choice.needs if getattr(settings, name) != defaults[name]]
    if choice.needs and len(given) != 1:
        wanted = " or ".join(map(_flag, choice.needs))
        raise ArgumentError(
            f"--gradient {settings.gradient} needs {wanted}{', not both' if given else ', which is missing'}."
        )


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
