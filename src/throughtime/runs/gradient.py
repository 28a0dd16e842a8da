"""Gradient methods that a run can choose.

No torch here but inside the functions: the settings ask this table whether their options fit together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from throughtime.errors import ArgumentError

if TYPE_CHECKING:
    from throughtime.gradients import GradientMethod


class GradientSettings(Protocol):
    """Settings that a gradient method may read."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def gradient(self) -> str: ...
    @property
    def horizon(self) -> int: ...
    @property
    def order(self) -> int: ...
    @property
    def leak(self) -> float: ...
    @property
    def segments(self) -> int: ...
    @property
    def memory(self) -> str: ...
    @property
    def clip_step(self) -> float: ...
    @property
    def save(self) -> Literal["gates", "states"]: ...
    @property
    def seed(self) -> int: ...


@dataclass(frozen=True)
class Choice:
    """Gradient method that a run can choose.

    Attributes:
        make: from a run's settings to the method.
        options: the settings that it reads; any other method's are refused beside it.
        needs: options of which exactly one must be given; empty: none need be.
    """

    make: Callable[[GradientSettings], GradientMethod]
    options: tuple[str, ...]
    needs: tuple[str, ...] = ()


def _bptt(settings: GradientSettings) -> GradientMethod:
    from throughtime.gradients import BPTT

    return BPTT(settings.save, clip_step=settings.clip_step or None)


def _truncated(settings: GradientSettings) -> GradientMethod:
    from throughtime.gradients import TruncatedBPTT

    return TruncatedBPTT(horizon=settings.horizon)


def _checkpointed(settings: GradientSettings) -> GradientMethod:
    from throughtime.gradients import CheckpointedBPTT

    return CheckpointedBPTT(
        clip_step=settings.clip_step or None, segments=settings.segments or None, memory=settings.memory or None
    )


def _scan(settings: GradientSettings) -> GradientMethod:
    from throughtime.gradients import ParallelScan

    return ParallelScan()


def _rtrl(settings: GradientSettings) -> GradientMethod:
    from throughtime.gradients import RTRL

    return RTRL()


def _snap(settings: GradientSettings) -> GradientMethod:
    from throughtime.gradients import SnAp

    return SnAp(order=settings.order)


def _uoro(settings: GradientSettings) -> GradientMethod:
    from throughtime.gradients import UORO

    return UORO(seed=settings.seed)


def _rflo(settings: GradientSettings) -> GradientMethod:
    from throughtime.gradients import RFLO

    return RFLO(leak=settings.leak)


def _eprop(settings: GradientSettings) -> GradientMethod:
    from throughtime.gradients import EProp

    return EProp()


METHODS: dict[str, Choice] = {
    "bptt": Choice(_bptt, ("save", "clip_step")),
    "truncated": Choice(_truncated, ("horizon",), ("horizon",)),
    "checkpointed": Choice(_checkpointed, ("segments", "memory", "clip_step"), ("segments", "memory")),
    "scan": Choice(_scan, ()),
    "rtrl": Choice(_rtrl, ()),
    "snap": Choice(_snap, ("order",)),
    "uoro": Choice(_uoro, ()),
    "rflo": Choice(_rflo, ("leak",)),
    "eprop": Choice(_eprop, ()),
}


def gradient_method(settings: GradientSettings) -> GradientMethod:
    """Return the method that the settings choose."""
    return METHODS[settings.gradient].make(settings)


def steps_run_again(settings: GradientSettings) -> int:
    """Return the number of steps before a chunk that run again with the chunk.

    With them the first loss of the chunk reaches back the whole horizon. Without a horizon there are none.
    """
    return max(0, settings.horizon - 1)


def check_choice(settings: GradientSettings) -> None:
    """Raise `ArgumentError` for an unknown method, a useless option or a missing one."""
    chosen = settings.gradient
    if chosen not in METHODS:
        raise ArgumentError("gradient", f"is {chosen}", f"it must be one of {', '.join(METHODS)}")
    choice = METHODS[chosen]
    defaults = {entry.name: entry.default for entry in fields(settings)}
    for name in dict.fromkeys(name for other in METHODS.values() for name in other.options):
        if name not in choice.options and getattr(settings, name) != defaults[name]:
            users = " or ".join(method for method, other in METHODS.items() if name in other.options)
            meant = "; the steps to forecast are `ahead`" if name == "horizon" else ""
            raise ArgumentError(
                name,
                f"is {getattr(settings, name)}",
                f"`gradient` {chosen} has no use for it",
                f"leave it out, or choose `gradient` {users}{meant}",
            )
    given = [name for name in choice.needs if getattr(settings, name) != defaults[name]]
    if choice.needs and len(given) != 1:
        wanted = " or ".join(f"`{name}`" for name in choice.needs)
        raise ArgumentError(
            "gradient", f"is {chosen}", f"it needs {wanted}{', not both' if given else ', which is missing'}"
        )
