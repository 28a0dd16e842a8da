"""What was measured, as plain values: everything a table, a file or a plot is made from."""

from dataclasses import dataclass
from statistics import median

from throughtime.benchmark.grid import Case


@dataclass(frozen=True)
class Timing:
    """Seconds of each repetition of one forward and backward pass."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Seconds."""
        return median(self.seconds)

    @property
    def minimum(self) -> float:
        """Seconds."""
        return min(self.seconds)


@dataclass(frozen=True)
class Distance:
    """How far one tensor is from the float64 reference, relative to the reference's norm, on both sides.

    Attributes:
        name: "output", "input" (its gradient), or the parameter whose gradient it is.
        limit: the most that ours may be away.
    """

    name: str
    ours: float
    torch: float
    limit: float

    @property
    def within(self) -> bool:
        """Whether ours is close enough; never for NaN."""
        return self.ours <= self.limit


@dataclass(frozen=True)
class Timings:
    """The sides that took turns, and how fast large matrix products of the same dtype were meanwhile.

    Attributes:
        ours: throughtime.
        torch: torch.nn, or None where it has no such thing.
        plain: throughtime on the same input as full sequences without resets, where a variant has a goal against it.
        jax: jax.lax.scan, or None.
        product_rate: FLOP/s of a large matrix product.
        other_load: the share of all cores' time that other programs took meanwhile; None where the system does not say.
    """

    ours: Timing
    torch: Timing | None
    plain: Timing | None
    jax: Timing | None
    product_rate: float
    other_load: float | None = None


@dataclass(frozen=True)
class Saved:
    """Bytes kept from the forward for the backward pass, other than the input and the parameters."""

    ours: int
    torch: int | None


@dataclass(frozen=True)
class Measurement:
    """One case. `timings` and `saved` are None if parity failed.

    Attributes:
        threads: of torch.
        tokens: the steps of all rows that are no padding.
        distances: parity with torch.nn, tensor by tensor.
        jax_distance: the largest relative distance of jax's results from the reference; None without jax.
    """

    case: Case
    threads: int
    tokens: int
    distances: tuple[Distance, ...]
    timings: Timings | None = None
    saved: Saved | None = None
    jax_distance: float | None = None

    @property
    def failures(self) -> list[Distance]:
        """What is further from the reference than allowed."""
        return [distance for distance in self.distances if not distance.within]

    @property
    def ratio(self) -> float | None:
        """Median time of torch.nn over that of ours."""
        return self.timings and _times_ours(self.timings.torch, self.timings.ours)

    @property
    def ratio_of_minima(self) -> float | None:
        """The same of the shortest times."""
        if not self.timings or not self.timings.torch:
            return None
        return self.timings.torch.minimum / self.timings.ours.minimum

    @property
    def jax_ratio(self) -> float | None:
        """Median time of jax over that of ours."""
        return self.timings and _times_ours(self.timings.jax, self.timings.ours)

    @property
    def own_cost(self) -> float | None:
        """Our median time per valid step, over that on full sequences without resets."""
        ratio = self.timings and _times_ours(self.timings.plain, self.timings.ours)
        valid = self.tokens / (self.case.shape.batch * self.case.shape.steps)
        return 1 / (ratio * valid) if ratio else None

    @property
    def share(self) -> float | None:
        """FLOPs of our matrix products alone over our median time, as a share of the large product's rate."""
        if not self.timings:
            return None
        return self.case.flops(self.tokens) / self.timings.ours.median / self.timings.product_rate

    @property
    def saved_ratio(self) -> float | None:
        """Our saved bytes over torch.nn's."""
        return self.saved.ours / self.saved.torch if self.saved and self.saved.torch else None


def _times_ours(other: Timing | None, ours: Timing) -> float | None:
    return None if other is None else other.median / ours.median
