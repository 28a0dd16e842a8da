"""Measurements as plain values, from which tables, files and plots are made."""

from dataclasses import dataclass
from statistics import median

from throughtime.benchmark.grid import Case


@dataclass(frozen=True)
class Timing:
    """Seconds of each repetition of one forward and backward pass."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median of the seconds."""
        return median(self.seconds)

    @property
    def minimum(self) -> float:
        """Minimum of the seconds."""
        return min(self.seconds)


@dataclass(frozen=True)
class Distance:
    """Relative distance of a tensor from the float64 reference, on both sides.

    Attributes:
        name: "output", "input" (its gradient), or the parameter whose gradient it is.
        ours, torch: the distances of throughtime and of torch.nn.
        limit: the largest allowed distance of throughtime.
    """

    name: str
    ours: float
    torch: float
    limit: float

    @property
    def within(self) -> bool:
        """Whether throughtime is close enough; False for NaN."""
        return self.ours <= self.limit


@dataclass(frozen=True)
class Timings:
    """Timings of the sides that took turns, and the speed of large matrix products meanwhile.

    Attributes:
        ours: throughtime.
        torch: torch.nn; None where torch.nn lacks the feature.
        plain: throughtime on full sequences without resets, where the variant has a goal for the ratio.
        jax: jax.lax.scan, or None.
        product_rate: FLOP/s of a large matrix product of the same dtype.
        other_load: share of all cores' time that other programs took meanwhile; None where the system does not say.
    """

    ours: Timing
    torch: Timing | None
    plain: Timing | None
    jax: Timing | None
    product_rate: float
    other_load: float | None = None


@dataclass(frozen=True)
class Saved:
    """Bytes kept for the backward pass, beside the input and the parameters."""

    ours: int
    torch: int | None


@dataclass(frozen=True)
class Measurement:
    """Measurement of a case; `timings` and `saved` are None if parity failed.

    Attributes:
        threads: threads of torch.
        tokens: valid steps of all rows.
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
        """Tensors that are too far from the reference."""
        return [distance for distance in self.distances if not distance.within]

    @property
    def ratio(self) -> float | None:
        """Median time of torch.nn over the median time of throughtime."""
        return self.timings and _times_ours(self.timings.torch, self.timings.ours)

    @property
    def ratio_of_minima(self) -> float | None:
        """Shortest time of torch.nn over the shortest time of throughtime."""
        if not self.timings or not self.timings.torch:
            return None
        return self.timings.torch.minimum / self.timings.ours.minimum

    @property
    def jax_ratio(self) -> float | None:
        """Median time of jax over the median time of throughtime."""
        return self.timings and _times_ours(self.timings.jax, self.timings.ours)

    @property
    def own_cost(self) -> float | None:
        """Median time per valid step, relative to full sequences without resets."""
        ratio = self.timings and _times_ours(self.timings.plain, self.timings.ours)
        valid = self.tokens / (self.case.shape.batch * self.case.shape.steps)
        return 1 / (ratio * valid) if ratio else None

    @property
    def share(self) -> float | None:
        """Rate of the matrix products, as a share of a large product's rate."""
        if not self.timings:
            return None
        return self.case.flops(self.tokens) / self.timings.ours.median / self.timings.product_rate

    @property
    def saved_ratio(self) -> float | None:
        """Saved bytes, throughtime over torch.nn."""
        return self.saved.ours / self.saved.torch if self.saved and self.saved.torch else None


def _times_ours(other: Timing | None, ours: Timing) -> float | None:
    return None if other is None else other.median / ours.median
