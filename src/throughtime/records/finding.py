"""Verdict of a diagnosis, and the numbers that decided it."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The kinds of flow of a gradient through time."""

    HEALTHY = "healthy"
    VANISHING = "vanishing"
    EXPLODING = "exploding"
    TRANSIENT = "transient growth, then decay"
    SATURATED = "saturated"
    CHAOTIC = "chaotic"
    NON_FINITE = "non-finite"
    NO_GRADIENT = "no gradient"
    TOO_SHORT = "too short"


class Source(StrEnum):
    """The kinds of values, each of which may be the first that is not finite."""

    WEIGHTS = "weights"
    INPUT = "input"
    STATE = "state"
    LOSS = "loss"
    GRADIENT = "gradient"


@dataclass(frozen=True)
class NonFinite:
    """First NaN or infinity in the order of the computation.

    It has a kind, a layer (or weight), a step and a row.

    Step and row are -1 for weights and the loss, which have none.
    """

    source: Source
    layer: str
    step: int
    row: int


@dataclass(frozen=True)
class Finding:
    """Verdict of a diagnosis, with the numbers that decided it.

    Attributes:
        layer: the layer that decided the verdict; "" for the whole model.
        numbers: the numbers that decided it, by name.
        sentence: the verdict in words, with the numbers.
        suggestions: the suggestions, each with the number that it follows from, the most promising first.
    """

    verdict: Verdict
    layer: str
    numbers: dict[str, float]
    sentence: str
    suggestions: list[str]
